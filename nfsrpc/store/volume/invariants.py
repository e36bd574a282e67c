"""What must hold in the tables of a volume. Plain SQL, as in `schema`.

The first part selects what violates an invariant; the second is what repair
needs beside it.
"""

# --- checks ---------------------------------------------------------------------------------------------------------

_DIRECTORY = "(i.mode & 61440) = 16384"
_COUNTED = "counted AS (SELECT inode, COUNT(*) AS names FROM names GROUP BY inode)"
_REACHED = f"""reached (inode) AS (
    SELECT i.inode FROM inodes i LEFT JOIN counted c ON c.inode = i.inode
        WHERE i.inode = ? OR ({_DIRECTORY} AND c.names IS NULL)
    UNION
    SELECT n.inode FROM names n JOIN reached r ON n.directory = r.inode
        JOIN inodes i ON i.inode = n.inode AND {_DIRECTORY})"""

ROOT = "SELECT generation, mode, parent FROM inodes WHERE inode = ?"
NAME_WITHOUT_INODE = """SELECT n.directory, n.name, n.inode FROM names n LEFT JOIN inodes i ON i.inode = n.inode
    WHERE i.inode IS NULL"""
NAME_WITHOUT_DIRECTORY = f"""SELECT n.directory, n.name, n.inode FROM names n
    LEFT JOIN inodes i ON i.inode = n.directory AND {_DIRECTORY} WHERE i.inode IS NULL"""
NAMES = "SELECT directory, name, inode FROM names"
COOKIE_RANGE = """SELECT n.directory, n.name, n.cookie, i.cookie FROM names n JOIN inodes i ON i.inode = n.directory
    WHERE n.cookie < 3 OR n.cookie >= i.cookie"""
ORPHAN = f"""WITH {_COUNTED} SELECT i.inode, i.mode FROM inodes i LEFT JOIN counted c ON c.inode = i.inode
    WHERE c.names IS NULL AND i.inode <> ?"""
ROOT_NAMED = "SELECT directory, name FROM names WHERE inode = ?"
LINKS = f"""WITH {_COUNTED} SELECT i.inode, i.nlink, c.names FROM inodes i JOIN counted c ON c.inode = i.inode
    WHERE NOT {_DIRECTORY} AND i.nlink <> c.names"""
SUBDIRECTORIES = f"""WITH below AS (SELECT n.directory, COUNT(*) AS subdirectories FROM names n
        JOIN inodes i ON i.inode = n.inode WHERE {_DIRECTORY} GROUP BY n.directory)
    SELECT i.inode, i.nlink, 2 + COALESCE(b.subdirectories, 0) FROM inodes i
    LEFT JOIN below b ON b.directory = i.inode
    WHERE {_DIRECTORY} AND i.nlink <> 2 + COALESCE(b.subdirectories, 0)"""
TWO_NAMES = f"""WITH {_COUNTED} SELECT i.inode, c.names FROM inodes i JOIN counted c ON c.inode = i.inode
    WHERE {_DIRECTORY} AND c.names > 1"""
PARENT = f"""SELECT i.inode, i.parent, n.directory FROM names n JOIN inodes i ON i.inode = n.inode
    WHERE {_DIRECTORY} AND i.parent <> n.directory"""
UNREACHED = f"""WITH RECURSIVE {_COUNTED}, {_REACHED}
    SELECT i.inode FROM inodes i WHERE {_DIRECTORY} AND i.inode NOT IN (SELECT inode FROM reached)"""
SYMLINK_WITHOUT_TARGET = """SELECT i.inode FROM inodes i LEFT JOIN symlinks s ON s.inode = i.inode
    WHERE (i.mode & 61440) = 40960 AND (s.target IS NULL OR LENGTH(s.target) <> i.size)"""
TARGET_WITHOUT_SYMLINK = """SELECT s.inode FROM symlinks s
    LEFT JOIN inodes i ON i.inode = s.inode AND (i.mode & 61440) = 40960 WHERE i.inode IS NULL"""
BAD_ATTRIBUTES = """SELECT inode, mode, size, content FROM inodes
    WHERE (mode & 61440) NOT IN (4096, 8192, 16384, 24576, 32768, 40960, 49152) OR size < 0 OR used < 0
        OR (content <> 0 AND (mode & 61440) <> 32768)"""
GENERATION_RANGE = """SELECT inode, generation, content FROM inodes
    WHERE generation <= 0 OR generation >= ? OR content < 0 OR content >= ?"""
STATE = "SELECT next_inode, inodes FROM state WHERE id = 1"
INODE_COUNT = "SELECT COUNT(*), COALESCE(MAX(inode), 0), COALESCE(MIN(inode), 0) FROM inodes"
FREE_IN_USE = "SELECT f.inode FROM free f JOIN inodes i ON i.inode = f.inode"
FREE_BEYOND = "SELECT inode FROM free WHERE inode >= ? OR inode < ?"
FREE_COUNT = "SELECT COUNT(*) FROM free"
GREATEST_GENERATION = "SELECT COALESCE(MAX(generation), 0), COALESCE(MAX(content), 0) FROM inodes"
QUOTAS = """WITH counted AS (
        SELECT uid AS owner, SUM(used) AS used, COUNT(*) AS files FROM inodes GROUP BY uid
        UNION ALL SELECT -1, SUM(used), COUNT(*) FROM inodes),
    owners AS (SELECT owner FROM counted UNION SELECT owner FROM quotas)
    SELECT o.owner, COALESCE(q.bytes_used, 0), COALESCE(q.inodes_used, 0), COALESCE(c.used, 0), COALESCE(c.files, 0)
    FROM owners o LEFT JOIN quotas q ON q.owner = o.owner LEFT JOIN counted c ON c.owner = o.owner
    WHERE EXISTS (SELECT 1 FROM quotas) AND (COALESCE(q.bytes_used, 0) <> COALESCE(c.used, 0)
        OR COALESCE(q.inodes_used, 0) <> COALESCE(c.files, 0))"""
PENDING = "SELECT DISTINCT inode, content FROM pending"
UNSYNCED = "SELECT 1 FROM pending WHERE owner < 0 AND inode = ? AND content = ?"
SHARDS = "SELECT DISTINCT inode / ? FROM inodes WHERE content <> 0"
CONTENTS = "SELECT inode, content, size FROM inodes WHERE content <> 0 AND inode >= ? AND inode < ?"

# --- repair ---------------------------------------------------------------------------------------------------------
REINDEX = "REINDEX"
PARENT_OF = "SELECT parent FROM inodes WHERE inode = ?"
NAMES_OF = "SELECT directory, name FROM names WHERE inode = ? ORDER BY directory, name"
DIRECTORY_OF = "SELECT directory FROM names WHERE inode = ?"
NAMES_BY_COOKIE = "SELECT name, cookie FROM names WHERE directory = ? ORDER BY cookie"
COOKIE_COUNTER = "SELECT cookie FROM inodes WHERE inode = ?"
COOKIE_BEYOND = "SELECT COALESCE(MAX(cookie), 2) + 1 FROM names WHERE directory = ?"
ALL_NUMBERS = "SELECT inode FROM inodes ORDER BY inode"
ALL_CONTENTS = "SELECT inode, content FROM inodes WHERE content <> 0"
WITHOUT_GENERATION = "SELECT inode FROM inodes WHERE generation <= 0"
SET_GENERATION = "UPDATE inodes SET generation = ? WHERE inode = ?"
SET_PARENT = "UPDATE inodes SET parent = ? WHERE inode = ?"
SET_LINKS = "UPDATE inodes SET nlink = ? WHERE inode = ?"
SET_COOKIE = "UPDATE inodes SET cookie = ? WHERE inode = ?"
SET_SIZE = "UPDATE inodes SET size = ? WHERE inode = ?"
EMPTY_FILE = "UPDATE inodes SET content = 0, size = 0, used = 0 WHERE inode = ?"
MEND_TYPES = """UPDATE inodes SET mode = (mode & 4095) | 32768
    WHERE (mode & 61440) NOT IN (4096, 8192, 16384, 24576, 32768, 40960, 49152)"""
MEND_CONTENT = "UPDATE inodes SET content = 0 WHERE content < 0 OR (content <> 0 AND (mode & 61440) <> 32768)"
MEND_SIZES = "UPDATE inodes SET size = 0, used = 0 WHERE size < 0 OR used < 0"
DROP_TARGETS = "DELETE FROM symlinks WHERE inode NOT IN (SELECT inode FROM inodes WHERE (mode & 61440) = 40960)"
DROP_NAMES_OF = "DELETE FROM names WHERE inode = ?"
DROP_NAMES_WITHOUT_INODE = "DELETE FROM names WHERE inode NOT IN (SELECT inode FROM inodes)"
DROP_NAMES_WITHOUT_DIRECTORY = """DELETE FROM names
    WHERE directory NOT IN (SELECT inode FROM inodes WHERE (mode & 61440) = 16384)"""
DROP_FREE = "DELETE FROM free"
DROP_PENDING = "DELETE FROM pending"

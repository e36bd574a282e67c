"""What must hold in the tables of a volume: each statement selects what violates it. Plain SQL, as in `schema`."""

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
PENDING = "SELECT DISTINCT inode, content FROM pending"
SHARDS = "SELECT DISTINCT inode / ? FROM inodes WHERE content <> 0"
CONTENTS = "SELECT inode, content, size FROM inodes WHERE content <> 0 AND inode >= ? AND inode < ?"

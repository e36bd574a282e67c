"""Every SQL statement of the volume. Plain SQL; what only SQLite understands stands under `SQLite`."""

# --- SQLite ---------------------------------------------------------------------------------------------------------
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA cache_size = -8000",
    "PRAGMA journal_size_limit = 67108864",
)
UNSYNCED_PRAGMA = "PRAGMA synchronous = NORMAL"
"""Commits do not wait for the disk; the log is synced before it is folded into the database, so that stays whole."""
FOLD_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
"""Answers (whether it could not, pages in the log, pages copied)."""
COPY_PRAGMAS = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF")
ATTACH = "ATTACH DATABASE ? AS earlier"
BEGIN_CHANGING = "BEGIN IMMEDIATE"
VERSION = "PRAGMA data_version"
"""Changes when another connection has committed; run inside a transaction it also fixes the snapshot."""
CLUSTERED = "WITHOUT ROWID"
NUMBER_KEY = "INTEGER PRIMARY KEY"
"""Exactly so spelt it is SQLite's row number, of 64 bits, and costs no index; elsewhere BIGINT PRIMARY KEY."""
INTEGRITY = "PRAGMA integrity_check(20)"

# --- tables ---------------------------------------------------------------------------------------------------------
QUOTAS = f"""CREATE TABLE IF NOT EXISTS quotas (
    owner {NUMBER_KEY}, bytes_limit BIGINT NOT NULL, bytes_used BIGINT NOT NULL,
    inodes_limit BIGINT NOT NULL, inodes_used BIGINT NOT NULL)"""
REPLAY_TABLES = (
    f"""CREATE TABLE replay (
        place {NUMBER_KEY}, key BLOB NOT NULL, born BIGINT NOT NULL, result BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX replay_by_key ON replay (key)",
)
TABLES = (
    f"""CREATE TABLE inodes (
        inode {NUMBER_KEY}, generation BIGINT NOT NULL, mode BIGINT NOT NULL, nlink BIGINT NOT NULL,
        uid BIGINT NOT NULL, gid BIGINT NOT NULL, size BIGINT NOT NULL, used BIGINT NOT NULL, rdev BIGINT NOT NULL,
        atime BIGINT NOT NULL, mtime BIGINT NOT NULL, ctime BIGINT NOT NULL,
        content BIGINT NOT NULL, parent BIGINT NOT NULL, cookie BIGINT NOT NULL)""",
    f"""CREATE TABLE names (
        directory BIGINT NOT NULL, name BLOB NOT NULL, inode BIGINT NOT NULL, cookie BIGINT NOT NULL,
        PRIMARY KEY (directory, name)) {CLUSTERED}""",
    "CREATE UNIQUE INDEX names_by_cookie ON names (directory, cookie)",
    f"CREATE TABLE symlinks (inode {NUMBER_KEY}, target BLOB NOT NULL)",
    f"CREATE TABLE free (inode {NUMBER_KEY})",
    f"""CREATE TABLE pending (
        owner BIGINT NOT NULL, inode BIGINT NOT NULL, content BIGINT NOT NULL,
        PRIMARY KEY (owner, inode, content)) {CLUSTERED}""",
    *REPLAY_TABLES,
    f"""CREATE TABLE state (
        id {NUMBER_KEY}, next_inode BIGINT NOT NULL, inodes BIGINT NOT NULL, uptime_offset BIGINT NOT NULL)""",
    QUOTAS,
)

# --- transactions ---------------------------------------------------------------------------------------------------
BEGIN = "BEGIN"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"
SAVEPOINT = "SAVEPOINT step"
SAVEPOINT_RELEASE = "RELEASE SAVEPOINT step"
SAVEPOINT_UNDO = "ROLLBACK TO SAVEPOINT step"

# --- inodes ---------------------------------------------------------------------------------------------------------
INODE_COLUMNS = (
    "inode, generation, mode, nlink, uid, gid, size, used, rdev, atime, mtime, ctime, content, parent, cookie"
)
INODE_GET = f"SELECT {INODE_COLUMNS} FROM inodes WHERE inode = ?"
INODE_PUT = f"""INSERT INTO inodes ({INODE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (inode) DO UPDATE SET generation = excluded.generation, mode = excluded.mode, nlink = excluded.nlink,
    uid = excluded.uid, gid = excluded.gid, size = excluded.size, used = excluded.used, rdev = excluded.rdev,
    atime = excluded.atime, mtime = excluded.mtime, ctime = excluded.ctime, content = excluded.content,
    parent = excluded.parent, cookie = excluded.cookie"""
INODE_DELETE = "DELETE FROM inodes WHERE inode = ?"
FREE_LOWEST = "SELECT inode FROM free WHERE inode > ? ORDER BY inode LIMIT ?"
FREE_ADD = "INSERT INTO free (inode) VALUES (?)"
FREE_TAKE = "DELETE FROM free WHERE inode = ?"
STATE_GET = "SELECT next_inode, inodes FROM state WHERE id = 1"
STATE_SET = "UPDATE state SET next_inode = ?, inodes = ? WHERE id = 1"
STATE_NEW = "INSERT INTO state (id, next_inode, inodes, uptime_offset) VALUES (1, ?, ?, 0)"
SYMLINK_GET = "SELECT target FROM symlinks WHERE inode = ?"
SYMLINK_ADD = "INSERT INTO symlinks (inode, target) VALUES (?, ?)"
SYMLINK_DELETE = "DELETE FROM symlinks WHERE inode = ?"

# --- names ----------------------------------------------------------------------------------------------------------
NAME_GET = "SELECT inode FROM names WHERE directory = ? AND name = ?"
NAME_ADD = "INSERT INTO names (directory, name, inode, cookie) VALUES (?, ?, ?, ?)"
NAME_DELETE = "DELETE FROM names WHERE directory = ? AND name = ?"
NAME_COOKIE_GET = "SELECT cookie FROM names WHERE directory = ? AND name = ?"
NAME_ANY = "SELECT 1 FROM names WHERE directory = ? LIMIT 1"
NAME_PAGE = "SELECT inode, name, cookie FROM names WHERE directory = ? AND cookie > ? ORDER BY cookie LIMIT ?"
NAME_COOKIE = "UPDATE names SET cookie = ? WHERE directory = ? AND name = ?"

# --- quotas ---------------------------------------------------------------------------------------------------------
QUOTA_COLUMNS = "bytes_limit, bytes_used, inodes_limit, inodes_used"
QUOTA_GET = f"SELECT {QUOTA_COLUMNS} FROM quotas WHERE owner = ?"
QUOTA_PUT = f"""INSERT INTO quotas (owner, {QUOTA_COLUMNS}) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (owner) DO UPDATE SET bytes_limit = excluded.bytes_limit, bytes_used = excluded.bytes_used,
    inodes_limit = excluded.inodes_limit, inodes_used = excluded.inodes_used"""
QUOTA_ALL = f"SELECT owner, {QUOTA_COLUMNS} FROM quotas ORDER BY owner"
QUOTA_LIMITED = "SELECT 1 FROM quotas WHERE bytes_limit <> 0 OR inodes_limit <> 0 LIMIT 1"
QUOTA_DROP = "DELETE FROM quotas"
QUOTA_COUNT_OWNERS = """INSERT INTO quotas (owner, bytes_limit, bytes_used, inodes_limit, inodes_used)
    SELECT uid, 0, SUM(used), 0, COUNT(*) FROM inodes GROUP BY uid"""
QUOTA_COUNT_VOLUME = """INSERT INTO quotas (owner, bytes_limit, bytes_used, inodes_limit, inodes_used)
    SELECT -1, 0, COALESCE(SUM(bytes_used), 0), 0, COALESCE(SUM(inodes_used), 0) FROM quotas"""

# --- snapshots ------------------------------------------------------------------------------------------------------
SNAPSHOT_SIZE = "SELECT COALESCE(SUM(used), 0), COUNT(*) FROM inodes WHERE content <> 0"
SNAPSHOT_ALL = "SELECT inode, content, size FROM inodes WHERE content <> 0"
SNAPSHOT_CHANGED = """SELECT i.inode, i.content, i.size FROM inodes i LEFT JOIN earlier.inodes e ON e.inode = i.inode
    WHERE i.content <> 0 AND (e.inode IS NULL OR e.content <> i.content OR e.size <> i.size OR e.ctime <> i.ctime)"""
SNAPSHOT_GONE = """SELECT e.inode, e.content FROM earlier.inodes e LEFT JOIN inodes i ON i.inode = e.inode
    WHERE e.content <> 0 AND (i.inode IS NULL OR i.content <> e.content)"""
SNAPSHOT_DROP = ("DELETE FROM replay", "DELETE FROM pending")

# --- content files to put right -------------------------------------------------------------------------------------
PENDING_ADD = "INSERT INTO pending (owner, inode, content) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
PENDING_DONE = "DELETE FROM pending WHERE owner IN (?, ?)"
PENDING_ALL = "SELECT owner, inode, content FROM pending LIMIT ?"
PENDING_DELETE = "DELETE FROM pending WHERE owner = ? AND inode = ? AND content = ?"

# --- results of calls -----------------------------------------------------------------------------------------------
REPLAY_GET_KEYS = 64
"""Most keys that one SELECT looks for; each number of keys is a statement of its own."""
REPLAY_PUT = """INSERT INTO replay (place, key, born, result) VALUES (?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET place = excluded.place, born = excluded.born, result = excluded.result"""
REPLAY_NEWEST = "SELECT place, born FROM replay WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT 1"
REPLAY_OLDEST = "SELECT place, born FROM replay WHERE place BETWEEN ? AND ? ORDER BY place LIMIT ?"
REPLAY_DELETE = "DELETE FROM replay WHERE place BETWEEN ? AND ?"
REPLAY_NEXT = "SELECT MIN(place) FROM replay WHERE place > ?"


def replay_get(keys: int) -> str:
    """Statement for the results younger than the first value under so many keys, the values that follow."""
    return f"SELECT key, result FROM replay WHERE born > ? AND key IN ({', '.join('?' * keys)})"

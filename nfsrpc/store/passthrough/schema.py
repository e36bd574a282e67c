"""Every SQL statement of the side table. What calls have answered is kept as in a volume: see its schema."""

from ..volume import schema as volume

ROOT = 2
"""File id of the exported directory itself, as everywhere; 0 means none, and 1 is left out."""

TABLES = (
    f"CREATE TABLE identity (id {volume.NUMBER_KEY}, fsid BIGINT NOT NULL, key BLOB NOT NULL, path BLOB NOT NULL)",
    # AUTOINCREMENT: a number is never given out twice, also when the highest one has gone.
    "CREATE TABLE files (fileid INTEGER PRIMARY KEY AUTOINCREMENT, handle BLOB NOT NULL)",
    "CREATE UNIQUE INDEX files_by_handle ON files (handle)",
    f"""CREATE TABLE names (
        directory BIGINT NOT NULL, name BLOB NOT NULL, fileid BIGINT NOT NULL,
        PRIMARY KEY (directory, name)) {volume.CLUSTERED}""",
    "CREATE INDEX names_by_fileid ON names (fileid)",
    f"""CREATE TABLE cookies (
        directory BIGINT NOT NULL, cookie BIGINT NOT NULL, position BIGINT NOT NULL,
        PRIMARY KEY (directory, cookie)) {volume.CLUSTERED}""",
    "CREATE UNIQUE INDEX cookies_by_position ON cookies (directory, position)",
    *volume.REPLAY_TABLES,
)

IDENTITY_GET = "SELECT fsid, key FROM identity WHERE id = 1"
IDENTITY_NEW = "INSERT INTO identity (id, fsid, key, path) VALUES (1, ?, ?, ?)"
IDENTITY_PATH = "UPDATE identity SET path = ? WHERE id = 1"
TABLE_COUNT = "SELECT COUNT(*) FROM sqlite_master"

FILE_ADD = "INSERT INTO files (handle) VALUES (?)"
FILE_ADD_ROOT = "INSERT INTO files (fileid, handle) VALUES (?, ?)"
FILE_BY_HANDLE = "SELECT fileid FROM files WHERE handle = ?"
FILE_GET = "SELECT handle FROM files WHERE fileid = ?"
FILE_DELETE = "DELETE FROM files WHERE fileid = ?"
FILES_BEHIND = "SELECT fileid, handle FROM files WHERE fileid > ? ORDER BY fileid LIMIT ?"

NAME_GET = "SELECT fileid FROM names WHERE directory = ? AND name = ?"
NAME_PUT = """INSERT INTO names (directory, name, fileid) VALUES (?, ?, ?)
    ON CONFLICT (directory, name) DO UPDATE SET fileid = excluded.fileid"""
NAME_DELETE = "DELETE FROM names WHERE directory = ? AND name = ?"
NAMES_OF = "SELECT directory, name FROM names WHERE fileid = ? LIMIT ?"
NAMES_OF_DELETE = "DELETE FROM names WHERE fileid = ?"
NAMES_IN_DELETE = "DELETE FROM names WHERE directory = ?"

COOKIE_GET = "SELECT cookie FROM cookies WHERE directory = ? AND position = ?"
COOKIE_LAST = "SELECT MAX(cookie) FROM cookies WHERE directory = ?"
COOKIE_ADD = "INSERT INTO cookies (directory, cookie, position) VALUES (?, ?, ?)"
COOKIE_POSITION = "SELECT position FROM cookies WHERE directory = ? AND cookie = ?"
COOKIES_DELETE = "DELETE FROM cookies WHERE directory = ?"

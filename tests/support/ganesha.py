"""What nfs-ganesha is told where tests start it: NFSv3 over its VFS back end, one export, ports of its own."""

from __future__ import annotations

from pathlib import Path

NFS_PORT, MOUNT_PORT = 12049, 12050
_CONFIGURATION = """\
NFS_CORE_PARAM {{
    NFS_Port = {nfs}; MNT_Port = {mount}; Enable_NLM = false; Enable_RQUOTA = false; Protocols = 3;
    Plugins_Dir = "/usr/lib/x86_64-linux-gnu/ganesha";
}}
{more}
EXPORT {{
    Export_Id = 1; Path = {path}; Pseudo = /test; Protocols = 3; Transports = UDP, TCP; Access_Type = RW;
    Squash = No_Root_Squash; SecType = {security}; FSAL {{ Name = VFS; }}
}}
LOG {{ Default_Log_Level = EVENT; }}
"""


def configuration(path: Path, security: str = "sys", more: str = "") -> str:
    """The text of a configuration file that exports `path`; `more` are further blocks."""
    return _CONFIGURATION.format(nfs=NFS_PORT, mount=MOUNT_PORT, path=path, security=security, more=more)

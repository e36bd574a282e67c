"""The reference part of docs/command-line.md, made from the commands themselves; tools/regen writes it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click

from nfsrpc.cli import main

PAGE = Path(__file__).resolve().parent.parent / "docs" / "command-line.md"
MARK = "<!-- From here on made by tools/regen. -->\n"


def page() -> str:
    """The page: what is written by hand, then a section for each command with usage, help, arguments and options."""
    context = click.Context(main, info_name="nfsrpc")
    sections = []
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        sections.append(_section(command, click.Context(command, info_name=f"nfsrpc {name}")))
    return PAGE.read_text().partition(MARK)[0] + MARK + "\n" + "\n".join(sections)


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## {context.info_name}", "", f"`{context.info_name} {usage}`", ""]
    lines += [_text(command.help or ""), ""]
    rows = [record for parameter in command.params if (record := parameter.get_help_record(context)) is not None]
    if rows:
        lines += ["| option | |", "|---|---|"]
        lines += [f"| `{option.replace('|', chr(92) + '|')}` | {_cell(words)} |" for option, words in rows]
        lines.append("")
    return "\n".join(lines)


def _cell(words: str) -> str:
    return re.sub(r"\s+", " ", words).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _text(text: str) -> str:
    """The paragraphs of a command's help; those that click prints as they are become blocks of code."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b"):
            paragraphs.append("```\n" + "\n".join(line.strip("\b") for line in paragraph.splitlines()[1:]) + "\n```")
        else:
            paragraphs.append(re.sub(r"\s*\n\s*", " ", paragraph).replace("<", "&lt;").replace("*", "\\*"))
    return "\n\n".join(paragraphs)

"""Only `conversion` and the command line start programs; and qemu-img is told the format of what it reads, always."""

import ast
from pathlib import Path

import pytest

from partage.conversion import convert

SOURCE = Path(__file__).parents[2] / "src" / "partage"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in ("main", "conversion"))
STARTERS = {"Popen", "execv", "execve", "execvp", "fork", "popen", "posix_spawn", "spawnl", "spawnv", "system"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_starts_no_program(module: Path) -> None:
    tree = ast.parse(module.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in imported} & {"subprocess", "multiprocessing", "pty"}
    assert not {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & STARTERS


def test_qemu_img_is_always_given_both_formats() -> None:
    """CVE-2026-24708: a format that is guessed is one that the image chose."""
    named = [path for path in SOURCE.rglob("*.py") if '"qemu-img"' in path.read_text()]
    assert named == [Path(convert.__file__)]
    lists = [node for node in ast.walk(ast.parse(named[0].read_text())) if isinstance(node, ast.List)]
    commands = [[ast.unparse(each) for each in node.elts] for node in lists]
    commands = [command for command in commands if "qemu_img" in command]
    assert len(commands) == 1
    assert commands[0][2:4] == ["'convert'", "'-f'"]
    assert commands[0][5] == "'-O'"

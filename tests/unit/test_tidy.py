"""The source keeps its own habits. Each finding names the file and what to do."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE_ROOTS = ("schema", "sync", "server", "client_sdk")
LINES_MAX = 800
HEADER_LINES = 40
# Concatenated, so that this file does not find itself.
LEFTOVER = re.compile(r"\b(" + "|".join(("FIX" + "ME", "TO" + "DO", "X" + "XX")) + r")\b")
INDEX_HOST = re.compile(
    "|".join(
        re.escape(a + b)
        for a, b in (
            ("py", "pi.org"),
            ("python", "hosted.org"),
            ("npm", "js.org"),
            ("npm", "js.com"),
            ("yarn", "pkg.com"),
            ("un", "pkg.com"),
            ("js", "delivr.net"),
            ("crates", ".io"),
            ("npm", "mirror.com"),
            ("proxy.go", "lang.org"),
        )
    )
    + r"|(?:mirrors?|pypi)\.(?:[a-z0-9-]+\.)+(?:cn|com|org|net|io)\b"
)
EMPTY_NAME = re.compile(r"(^|_)(utils?|helpers?|common|managers?)($|_)")


def repository_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for path in repository_files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path.relative_to(ROOT).as_posix(), content.decode("utf-8", "replace")


def package_modules() -> dict[str, Path]:
    """Map the dotted name of every module of the four packages to its file."""
    modules = {}
    for path in repository_files():
        parts = path.relative_to(ROOT).with_suffix("").parts
        if path.suffix == ".py" and len(parts) > 2 and parts[0] in PACKAGE_ROOTS:
            modules[".".join(parts[1:]).removesuffix(".__init__")] = path
    return modules


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Every dotted name that `tree`, in `package`, may import, and the packages above it."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")
            above = above[: len(above) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def is_entry_point(name: str, path: Path, scripts: str, makefile: str) -> bool:
    return (
        path.stem in ("__init__", "__main__")
        or not path.stem.isidentifier()  # numbered files are found by listing their folder
        or f"{name}:" in scripts
        or f"-m {name}\n" in makefile
    )


def test_source_has_no_leftovers():
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if LEFTOVER.search(line)
    ]
    assert not found, "finish it or drop it:\n" + "\n".join(found)


def test_long_files_say_why():
    found = [
        f"{name}: {len(lines)} lines"
        for name, text in texts()
        if name.endswith(".py")
        and len(lines := text.splitlines()) > LINES_MAX
        and not any("Long because:" in line for line in lines[:HEADER_LINES])
    ]
    assert not found, "split it, or write `Long because:` in its header:\n" + "\n".join(found)


def test_no_file_names_a_package_index():
    found = [f"{name}: {hit.group()}" for name, text in texts() for hit in INDEX_HOST.finditer(text)]
    assert not found, "an index belongs to the machine, not to the repository:\n" + "\n".join(found)


def test_every_module_is_imported_or_started():
    modules = package_modules()
    assert {"regulars_schema", "regulars_sync", "regulars_server", "regulars"} <= modules.keys()
    names_by_path = {path: name for name, path in modules.items()}
    used: set[str] = set()
    for path in repository_files():
        if path.suffix == ".py":
            name = names_by_path.get(path, "")
            package = name if path.stem == "__init__" else name.rpartition(".")[0]
            used |= set(imports(ast.parse(path.read_bytes(), str(path)), package)) - {name}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    scripts = "\n".join(project["scripts"].values())
    makefile = (ROOT / "Makefile").read_text("utf-8") + "\n"
    found = [
        name
        for name, path in modules.items()
        if name not in used and not is_entry_point(name, path, scripts, makefile)
    ]
    assert not found, "nothing imports or starts it; use it or delete it:\n" + "\n".join(found)


def test_module_names_say_what_is_inside():
    found = [
        path.relative_to(ROOT).as_posix()
        for path in repository_files()
        if path.suffix == ".py"
        and any(EMPTY_NAME.search(part) for part in path.relative_to(ROOT).with_suffix("").parts)
    ]
    assert not found, "name it after its subject:\n" + "\n".join(found)

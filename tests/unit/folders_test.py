#!/usr/bin/python3
"""Folders include downwards only, as docs/architecture.md says: its table "Arrows" lists what each folder may
include, its picture has the folders in levels.

    folders_test.py ROOT             fails naming every include that the table does not allow, every arrow of the
                                     table that nothing needs, every row that points down the table, and every place
                                     where the picture disagrees
    folders_test.py ROOT FROM TO     the same, as if file FROM included file TO
"""
import pathlib
import re
import sys

TREES = ("engine", "io", "apps")


def folder_of(path, folders):
    """The folder of the table that a file belongs to: the nearest one above it."""
    for parent in pathlib.PurePosixPath(path).parents:
        if str(parent) in folders:
            return str(parent)
    return None


def section(text, heading):
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def read_table(text):
    """{folder: [folders that it may include]}, in the order of the rows."""
    rows = re.findall(r"^\| `([^`]+)/` \| (.*) \|$", section(text, "Arrows"), re.M)
    return {name: re.findall(r"`([^`]+)/`", targets) for name, targets in rows}


def read_levels(text):
    """{folder: line of the picture}"""
    picture = re.search(r"\n\n((?:    .*\n|\n)+)", section(text, "Arrows")).group(1)
    levels = {}
    for number, line in enumerate(picture.splitlines()):
        for name in re.findall(r"[a-z_0-9]+(?:/[a-z_0-9]+)*/", line):
            levels.setdefault(name.rstrip("/"), []).append(number)
    return levels


def includes_of(root):
    for tree in TREES:
        for path in sorted((root / tree).rglob("*.[ch]pp")):
            for target in re.findall(r'^\s*#include "([^"]+)"', path.read_text(), re.M):
                if target.startswith(tuple(f"{t}/" for t in TREES)):
                    yield str(path.relative_to(root)), target


def check_picture(table, levels):
    for folder in table:
        if len(levels.get(folder, [])) != 1:
            yield f"{folder}/ stands {len(levels.get(folder, []))} times in the picture, not once"
    for folder in levels:
        if folder not in table:
            yield f"{folder}/ of the picture has no row in the table"
    for folder, targets in table.items():
        for target in targets:
            if target in levels and folder in levels and levels[folder][0] >= levels[target][0]:
                yield f"{folder}/ → {target}/ does not point down in the picture"


def check_table(table):
    above = set()
    for folder, targets in table.items():
        above.add(folder)
        for target in targets:
            if target not in above or target == folder:
                yield f"{folder}/ → {target}/ does not point to a row above"


def check_includes(table, includes):
    used = set()
    for source, target in includes:
        start, end = folder_of(source, table), folder_of(target, table)
        if start is None or end is None:
            yield f"{source} includes {target}: no row for one of their folders"
        elif start != end:
            used.add((start, end))
            if end not in table[start]:
                yield f"{source} includes {target}: {start}/ may not include {end}/"
    for folder, targets in table.items():
        for target in targets:
            if (folder, target) not in used:
                yield f"{folder}/ → {target}/ is in the table, and nothing needs it"


def main():
    root = pathlib.Path(sys.argv[1])
    text = (root / "docs/architecture.md").read_text()
    table, levels = read_table(text), read_levels(text)
    includes = list(includes_of(root)) + [tuple(sys.argv[2:4])] * (len(sys.argv) == 4)
    problems = [*check_table(table), *check_picture(table, levels), *check_includes(table, includes)]
    if len(table) < 10 or len(includes) < 500:
        problems.append(f"only {len(table)} folders and {len(includes)} includes were found")
    print("\n".join(problems) or f"{len(includes)} includes between {len(table)} folders point down")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Write the tables of README and docs, and the index of the benchmarks, from their JSON.

    python benchmarks/tables_in_docs.py

What stands between `<!-- table: FILE/TABLE -->` and `<!-- end -->` is the table of that name in
`results/FILE.json`; columns can be chosen: `<!-- table: FILE/TABLE: first column; second -->`.
"""

import ast
import re

from report import HERE, RESULTS, head, line, read

ROOT = HERE.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), HERE / "README.md")
MARKED = re.compile(r"<!-- table: (.+?) -->\n.*?<!-- end -->", re.DOTALL)


def table(asked: str) -> str:
    """Return the lines of a table."""
    name, _, chosen = asked.partition(": ")
    file, _, of = name.partition("/")
    kept = read(RESULTS / f"{file}.json")["tables"][of]
    columns = kept["columns"]
    shown = chosen.split("; ") if chosen else list(columns)
    places = [list(columns).index(column) for column in shown]
    digits = [columns[column] for column in shown]
    rows = [line([row[i] for i in places], digits) for row in kept["rows"]]
    return "\n".join([*head(dict.fromkeys(shown)), *rows])


def index() -> str:
    """Return a row for each benchmark: what it shows, what it takes, its latest figures."""
    pages = {page: page.read_text(encoding="utf-8") for page in PAGES[:-1]}
    lines = head(dict.fromkeys(("", "shows", "takes", "latest figures")))
    for script in sorted(HERE.glob("*.py")):
        shows = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))).splitlines()[0]
        kept = RESULTS / f"{script.stem}.json"
        if not kept.exists():
            continue
        told = read(kept)
        there = [page for page, text in pages.items() if f"<!-- table: {script.stem}/" in text]
        where = [f"[{page.name}](../{page.relative_to(ROOT)})" for page in there]
        figures = " ".join([told.get("says", ""), *where]).strip()
        cells = [f"[`{script.name}`]({script.name})", shows.rstrip("."), told["takes"], figures]
        lines.append(line(cells, 4 * [None]))
    return "\n".join(lines)


def render(text: str) -> str:
    """Return a page with its tables as the JSON has them."""

    def replaced(found: re.Match[str]) -> str:
        asked = found[1]
        lines = index() if asked == "index" else table(asked)
        return f"<!-- table: {asked} -->\n{lines}\n<!-- end -->"

    return MARKED.sub(replaced, text)


def main() -> None:
    """Rewrite the pages whose tables have changed."""
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = render(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()

"""The page that shows the figures."""

from html import escape

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid #ddd; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid #e4e4e4; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.note { color: #666; font-size: 0.85rem; }
.incomplete { background: #fff3d6; padding: 0.5rem 1rem; }
"""


def table(header, rows):
    """An HTML table, folded where it is long."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(str(cell))}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    inner = f"<table>\n<tr>{head}</tr>\n{body}\n</table>"
    return inner if len(rows) <= 12 else f"<details><summary>table, {len(rows)} rows</summary>\n{inner}\n</details>"


def section(picture):
    """A figure with its paragraph and table."""
    return (
        f"<h3>{escape(picture.title)}</h3>\n<p>{escape(picture.paragraph)}</p>\n"
        f'<p><img src="{picture.name}.png" alt="{escape(picture.title)}"><br>'
        f'<span class="note">also as <a href="{picture.name}.svg">SVG</a></span></p>\n{table(picture.header, picture.rows)}'
    )


def page(results, pictures):
    """The whole page; `pictures` has the figures of each experiment."""
    data, machine = results["data"], results["machine"]
    parts = []
    for name, result in results["experiments"].items():
        seconds = result["times"]["seconds"]
        parts.append(f"<h2>{name}. {escape(result['title'][0].upper() + result['title'][1:])}</h2>")
        if "skipped" in result:
            parts.append(f"<p>Skipped: {escape(result['skipped'])}.</p>")
        parts.extend(section(picture) for picture in pictures[name])
        parts.append(f'<p class="note">took {seconds:.1f} s</p>')
    incomplete = (
        ""
        if results["complete"]
        else '<p class="incomplete">The run was interrupted: this page shows what was done until then.</p>'
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Training with batch norm</title>\n<style>{STYLE}</style>\n'
        f"<h1>Training with batch norm</h1>\n{incomplete}\n"
        f"<p>Networks trained with xbn's kernels on {escape(data['file'])}: {data['train']:,} samples for training and "
        f"{data['test']:,} for the test, of {data['features']} values each, in {data['classes']} classes. Seed {results['seed']}"
        f"{', quick mode: fewer and shorter trainings' if results['quick'] else ''}. Measured on {escape(machine['processor'])}, "
        f"{escape(machine['instruction_set'])}. Every number on this page is from "
        f'<a href="results.json">results.json</a>.</p>\n' + "\n".join(parts) + "\n</html>\n"
    )

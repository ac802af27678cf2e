"""The README quotes results; they must be those of the record."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_quoted_tables_equal_their_records(document):
    quotes = re.findall(
        r"<!-- table: (\S+) -->\n(.*?)<!-- end of table -->", document.read_text(), re.DOTALL
    )
    for source, quoted in quotes:
        assert quoted.strip() == (ROOT / source).read_text().strip(), f"{source} has changed"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_python_examples_run_as_far_as_names_go():
    """Every name that the README imports exists."""
    for line in re.findall(r"^from lightning_stdim.*$", DOCUMENTS[0].read_text(), re.MULTILINE):
        exec(line)

"""What `scripts/licences.py` makes of the licences that crates name."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "licences.py"


@pytest.fixture(scope="module")
def licences():
    spec = importlib.util.spec_from_file_location("licences", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("MIT", ["MIT"]),
        ("Apache-2.0 OR MIT", ["MIT"]),
        ("MIT/Apache-2.0", ["MIT"]),
        ("GPL-3.0-only OR Apache-2.0", ["Apache-2.0"]),
        ("Apache-2.0 AND ISC", ["Apache-2.0", "ISC"]),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", ["MIT", "Unicode-3.0"]),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0", ["Apache-2.0"]),
        ("LGPL-2.1-or-later OR BSD-3-Clause AND ISC", ["BSD-3-Clause", "ISC"]),
    ],
)
def test_the_licence_of_a_choice(licences, expression, names):
    assert licences.chosen(expression) == names


@pytest.mark.parametrize(
    "expression",
    [
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "(GPL-3.0-only OR AGPL-3.0-only) AND MIT",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "",
        "(MIT",
        "MIT)",
        "MIT Apache-2.0",
    ],
)
def test_a_licence_that_is_not_accepted(licences, expression):
    with pytest.raises(licences.LicenceError):
        licences.chosen(expression)

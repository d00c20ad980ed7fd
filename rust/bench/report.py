"""The tables that the benchmark prints. Sizes in MiB, CPU in seconds per GiB moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import machine
from payload import MIB
from transfer import Cost, Transfer

GIB = 1024 * MIB

# Names of a seeder and a leecher.
Pair = tuple[str, str]
# One round: the transfers in it.
Round = dict[Pair, Transfer]

HEADER = (
    f"{'':<34}{'MiB/s':>8}  {'(min-max)':<13}{'CPU-s/GiB':>10}{'partner':>9}"
    f"{'peak MiB':>10}{'grown MiB':>11}{'start ms':>10}"
)
LEGEND = """\
MiB/s      from the first data on the wire until the leecher says it is finished
CPU-s/GiB  user and system time of the side under test; "partner" is the other side's
peak       most memory resident during the transfer (VmHWM: mapped and shared pages count)
grown      the same less what the process had before its session (a Python, in libtorrent's)
start      from the request to connect until the first data, which is in none of the rates"""


@dataclass(frozen=True)
class Comparison:
    """Two transfers of a round in which the same side is under test."""

    # "leech" or "seed": the side that is compared.
    direction: str
    # Seeder and leecher; `tested` is missing where libtorrent alone is measured.
    tested: Pair | None
    reference: Pair

    def pairs(self) -> list[Pair]:
        """The transfers that it needs."""
        return [self.reference] if self.tested is None else [self.tested, self.reference]


def table(rounds: list[Round], comparisons: list[Comparison]) -> str:
    """Medians over the rounds, one row for each transfer and side under test."""
    return "\n".join(
        [
            HEADER,
            *(
                _row(comparison.direction, [one[pair] for one in rounds])
                for comparison in comparisons
                for pair in comparison.pairs()
            ),
        ]
    )


def ratios(rounds: list[Round], comparisons: list[Comparison]) -> str:
    """Tested by reference, taken within each round: median (min-max) over the rounds."""
    lines = []
    for comparison in comparisons:
        side = comparison.direction
        parts = [
            f"{label} {_ratio(rounds, comparison, value)}"
            for label, value in (
                ("rate", lambda one, _: one.rate()),
                ("CPU", lambda one, side: _tested(one, side).cpu_seconds),
                ("memory grown", lambda one, side: _tested(one, side).grown_bytes),
            )
        ]
        lines.append(f"{side + ':':<7}ours/libtorrent " + ", ".join(parts))
    return "\n".join(lines)


def noise(rounds: list[Round]) -> str:
    """A warning where other processes took part in what was measured, else nothing."""
    shares = [one.others_share for this_round in rounds for one in this_round.values()]
    if median(shares) <= machine.QUIET_SHARE:
        return ""
    return (
        f"NOTE: other processes used {median(shares):.0%} of the machine meanwhile (at most "
        f"{max(shares):.0%}): rates are too low, ratios are rough"
    )


def progress(transfer: Transfer) -> str:
    """One line about one transfer."""
    gib = transfer.size / GIB
    return (
        f"{transfer.seeder} -> {transfer.leecher}: {transfer.rate() / MIB:.0f} MiB/s, CPU-s/GiB "
        f"seeder {transfer.seeder_cost.cpu_seconds / gib:.2f} "
        f"leecher {transfer.leecher_cost.cpu_seconds / gib:.2f}, "
        f"other processes {transfer.others_share:.0%}"
    )


def _row(direction: str, transfers: list[Transfer]) -> str:
    label = f"{direction:<6}{transfers[0].seeder} -> {transfers[0].leecher}"
    other = "seed" if direction == "leech" else "leech"
    rates = [one.rate() / MIB for one in transfers]
    gib = transfers[0].size / GIB

    def cost(side: str, value: Callable[[Cost], float]) -> float:
        return median(value(_tested(one, side)) for one in transfers)

    spread = f"({min(rates):.0f}-{max(rates):.0f})"
    return (
        f"{label:<34}{median(rates):>8.0f}  {spread:<13}"
        f"{cost(direction, lambda it: it.cpu_seconds) / gib:>10.2f}"
        f"{cost(other, lambda it: it.cpu_seconds) / gib:>9.2f}"
        f"{cost(direction, lambda it: it.peak_bytes) / MIB:>10.0f}"
        f"{cost(direction, lambda it: it.grown_bytes) / MIB:>11.0f}"
        f"{median(one.start_seconds for one in transfers) * 1000:>10.0f}"
    )


def _tested(transfer: Transfer, direction: str) -> Cost:
    return transfer.leecher_cost if direction == "leech" else transfer.seeder_cost


def _ratio(
    rounds: list[Round], comparison: Comparison, value: Callable[[Transfer, str], float]
) -> str:
    tested, reference = comparison.pairs()
    side = comparison.direction
    # A side that grew by less than the kernel counts would divide by zero.
    found = [value(one[tested], side) / max(value(one[reference], side), 1e-9) for one in rounds]
    return f"{median(found):.2f}x ({min(found):.2f}-{max(found):.2f})"

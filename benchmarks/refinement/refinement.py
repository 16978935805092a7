"""Compares schedules refined from gradient norms with common schedules.

    python benchmarks/refinement/refinement.py [--curves PATH] [--quick] [--bars] [--out DIR]

(a) Logistic regression on scikit-learn's data sets, and |x| with noise that no schedule changes.
(b) An MLP and a convolutional net on digits, with true and with noisy labels.
(c) The transformer of examples/pretrain.py.
(d) With --curves: gradient norms of a real 124M language model. What refinement proposes, the bound
    for the schedules that were trained, and whether the bound ranks them as their losses do.

Each schedule runs at its own best peak, found on other seeds than those reported. Needs the extras
`examples` and `refine`.
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "examples"))  # for its model and data

import convex as refinement_convex
import networks as refinement_networks
import numpy as np
import pretrain as refinement_pretrain
from reporting import Bar, conclude, parser, print_table, write_raw


def over_problems(rows: list[dict[str, Any]], which: str) -> list[dict[str, Any]]:
    """The losses of each schedule relative to linear decay's, over all problems or one kind."""
    kinds = {"all": (True, False), "not separable": (False,), "separable": (True,)}[which]
    rows = [row for row in rows if row["problem"] != "noisy cone" and row["separable"] in kinds]
    found = []
    for schedule in dict.fromkeys(row["schedule"] for row in rows):
        mine = [row for row in rows if row["schedule"] == schedule]
        above = np.array([row["above linear"] for row in mine])
        places = [row["rank"] for row in mine if row["rank"] is not None]
        found.append(
            {
                "problems": which,
                "schedule": schedule,
                "number": len(mine),
                "mean above linear": float(np.expm1(np.log1p(above).mean())),
                "median above linear": float(np.median(above)),
                "at least as good": int((above <= 0).sum()),
                "better, 95%": sum(row["to"] < 0 for row in mine),
                "worse, 95%": sum(row["from"] > 0 for row in mine),
                "mean rank": float(np.mean(places)) if places else None,
            }
        )
    return found


def convex_bars(summary: list[dict[str, Any]]) -> list[Bar]:
    """Bars for what the paper's convex experiments suggest about the whole suite."""
    by_name = {row["schedule"]: row for row in summary if row["problems"] == "all"}
    refined, cosine = by_name["refined"], by_name["cosine"]
    return [
        Bar(
            "convex: refined worse than linear on more than a third of the problems, share",
            1 - refined["at least as good"] / refined["number"],
            1 / 3,
        ),
        Bar("convex: refined above linear, on average", refined["mean above linear"], 0.0),
        Bar("convex: linear above cosine, on average", -cosine["mean above linear"], 0.0),
    ]


def main() -> int:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument(
        "--curves", type=pathlib.Path, metavar="PATH", help="the folder with schaipp_124M/; without it, (d) is skipped"
    )
    args = arguments.parse_args()

    convex = refinement_convex.suite(args.quick)
    summary = [row for which in ("all", "not separable", "separable") for row in over_problems(convex, which)]
    print_table("(a) logistic regression: final training loss, relative to linear decay's", summary)
    cone = [row for row in convex if row["problem"] == "noisy cone"]
    shown = ("schedule", "peak", "loss", "above linear", "from", "to")
    print_table(
        "(a) |x|, noise that falls tenfold whatever the schedule", [{key: row[key] for key in shown} for row in cone]
    )
    networks = refinement_networks.suite(args.quick)
    print_table("(b) networks on digits", networks)
    pretrain = refinement_pretrain.suite(args.quick)
    print_table("(c) the transformer of examples/pretrain.py", pretrain)
    tables = {"convex": convex, "convex_summary": summary, "networks": networks, "pretrain": pretrain}
    bars = convex_bars(summary)
    if args.curves is None:
        print("\n(d) skipped: it needs --curves")
    else:
        import traces

        found = traces.runs(args.curves)
        proposals, ranking, trained = traces.proposals(found), traces.ranking(found), traces.all_schedules(args.curves)
        agreement = [{"runs": "five, norms logged"} | row for row in traces.agreement(ranking)]
        agreement += [{"runs": "all, 25,000 and 50,000 steps"} | row for row in traces.agreement(trained)]
        binned = traces.binned(found)
        print_table("(d) 124M language model: what refinement proposes", proposals)
        print_table("(d) the bound for the trained schedules", ranking)
        print_table("(d) the bound for all runs, at equal norms", sorted(trained, key=lambda row: row["final loss"]))
        print_table("(d) does the bound rank them as their losses do?", agreement)
        print_table("(d) refined from the binned recorder, compared with every step's norm", binned)
        tables |= {
            "proposals": proposals,
            "ranking": ranking,
            "all_schedules": trained,
            "agreement": agreement,
            "binned": binned,
        }
        bars += [
            Bar(
                f"binned: {row['recorded under']}, {row['optimizer']}, of the peak",
                row["largest difference"],
                traces.BINS_BAR,
            )
            for row in binned
        ]
    write_raw(args, bars, **tables)
    refined = next(row for row in summary if (row["problems"], row["schedule"]) == ("not separable", "refined"))
    return conclude(
        args, bars, f"refined on average {refined['mean above linear']:+.2%} above linear on convex problems"
    )


if __name__ == "__main__":
    sys.exit(main())

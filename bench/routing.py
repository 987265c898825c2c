"""What choosing a model per prompt saves, on public data: `python -m bench.routing [--quick] [--pools]`.

Three public sets with every model's score on every prompt. With two models: in which order should prompts go to the
strong one? `APGR$` is the share of the quality gap that is closed, over the share of the extra dollars that is spent:
0.5 is chance, an oracle passes 1. `save@95`: the dollars saved against always the strong model at 95 % of its quality.
With more models: what does `auto` do with them, as it is shipped?

Everything is chosen on one half of the prompts, thresholds too, and reported on the other, whose hash is printed.
In-domain: five parts, what is expected of a prompt is learnt from the other four. Unseen topics: four parts of whole
topics; orders are compared within each part. Intervals: 95 %, bootstrap over prompts.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from bench.routing_pairs import Pair, in_domain, measured, unseen
from bench.routing_pools import Pool, expectations, pool_rows
from bench.routing_sets import BEFORE, DATA, PAIRS, POOLS, PUBLISHED, load
from bench.run import machine, save

Rows = Mapping[str, Mapping[str, Any]]
OURS = ("ours", "ours, per dollar")
SIMPLE = ("random", "length", "hand rule", "least extra cost first")
FEW_TOPICS = 4  # too few to leave some out


def pair_result(name: str) -> dict[str, Any]:
    files, weak, strong = PAIRS[name]
    pair = Pair(load(name, files, (weak, strong)), weak, strong)
    found: dict[str, Any] = {"split": pair.set.split, "prompts": len(pair.set), "before": BEFORE[name]}
    found["weak_keeps"] = round(pair.set.mean(weak, pair.set.test) / pair.set.mean(strong, pair.set.test), 4)
    print(f"\n## {name}: {len(pair.set):,} prompts, test half {pair.set.split}, weak keeps {found['weak_keeps']:.0%}")
    found["in_domain"] = measured(pair, in_domain(pair))
    show("in-domain", found["in_domain"])
    if len(set(pair.set.topics)) >= FEW_TOPICS:
        orders, parts, found["trusted"] = unseen(pair)
        found["unseen"] = measured(pair, orders, parts)
        show(f"unseen topics; of what words say {found['trusted']} is trusted", found["unseen"])
    print("before: " + ", ".join(f"{what} {apgr:.2f} / {saved} %" for what, (apgr, saved) in BEFORE[name].items()))
    return found


def pool_result(name: str) -> dict[str, Any]:
    files, models = POOLS[name]
    pool = Pool(load(name, files, models))
    found: dict[str, Any] = {"split": pool.set.split, "prompts": len(pool.set), "strong": pool.strong}
    print(f"\n## {name}: {len(pool.set):,} prompts, test half {pool.set.split}")
    for what, new in (("in_domain", False), ("unseen", True)):
        found[what] = pool_rows(pool, expectations(pool, new))
        print(f"{what}: quality kept and dollars saved against always {pool.strong}")
        for row, each in found[what].items():
            flag = "  WORSE AND DEARER than the best cheap model" if each["worse_and_dearer_than_cheap"] else ""
            print(f"  {row:60s} {each['kept']:7.1%} {each['saved']:7.1%}  mostly {each['most_used']}{flag}")
    return found


def show(title: str, rows: Rows) -> None:
    print(f"{title}: APGR$, and for 95 % and 99 % the share kept and the dollars saved")
    for name, row in rows.items():
        within = f" ± {row['interval']:.3f}" if "interval" in row else " " * 8
        at = "   ".join(f"{row[f'kept@{keep}']:6.1%} {row[f'save@{keep}']:6.1%}" for keep in ("95%", "99%"))
        print(f"  {name:52s} {row['apgr']:6.3f}{within}   {at}")


def chosen(rows: Rows, names: tuple[str, ...]) -> str:
    """Which of these did best on the choosing half."""
    return max((name for name in names if "apgr_choosing" in rows[name]), key=lambda name: rows[name]["apgr_choosing"])


def goals(pairs: Mapping[str, Any], pools: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, each in pairs.items():
        rows = each["in_domain"]
        ours, best = chosen(rows, OURS), each["before"]["best in-domain"][0]
        measured_here = rows[ours]["apgr"]
        found.append({"goal": f"{name}, in-domain: APGR$ ≥ {best}, the best before", "by": ours,
                      "measured": measured_here, "topic_mean_here": rows["topic mean"]["apgr"],
                      "holds": measured_here >= best})  # fmt: skip
        if "unseen" in each:
            rows = each["unseen"]
            ours, best_name = chosen(rows, OURS), max(SIMPLE, key=lambda row: rows[row]["apgr"])
            best = max(rows[best_name]["apgr"], each["before"]["LiteLLM"][0], each["before"]["LiteLLM v2"][0])
            found.append({"goal": f"{name}, unseen topics: APGR$ ≥ {best}, the best rule without data ({best_name} or "
                                  "LiteLLM's, as measured before)", "by": ours,
                          "measured": rows[ours]["apgr"], "holds": rows[ours]["apgr"] >= best})  # fmt: skip
    for name, each in pools.items():
        for what in ("in_domain", "unseen"):
            row = each[what]["ours, auto as shipped"]
            found.append({"goal": f"{name}, {what}: auto is never worse and dearer than the best cheap model",
                          "measured": f"keeps {row['kept']:.1%}, saves {row['saved']:.1%}",
                          "holds": not row["worse_and_dearer_than_cheap"]})  # fmt: skip
    return found


def main(quick: bool, only_pools: bool) -> int:
    if not (DATA / "routing").is_dir():
        print(f"skipped: no data folder at {DATA}; set CHITTY_DATA to one")
        return 0
    print((__doc__ or "").partition("\n\n")[2])
    small = ("RouteLLM-GSM8K", "LLMRouter-9 9B→51B")
    pairs = {name: pair_result(name) for name in (small if quick else PAIRS) if not only_pools}
    pools = {name: pool_result(name) for name in (("LLMRouter-9",) if quick else POOLS)}
    result: dict[str, Any] = {
        "machine": machine(),
        "what": __doc__,
        "published": PUBLISHED,
        "pairs": pairs,
        "pools": pools,
    }
    result["goals"] = reached = goals(pairs, pools)
    print("\n".join(f"published: {who}: {what}" for who, what in PUBLISHED))
    print(json.dumps(reached, indent=1, ensure_ascii=False))
    print(f"raw numbers: {save('routing', result, quick)}")
    return 0 if all(row["holds"] for row in reached) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.routing", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the two small sets alone")
    parser.add_argument("--pools", action="store_true", help="what `auto` does alone, without pairs of models")
    given = parser.parse_args()
    sys.exit(main(given.quick, given.pools))

"""What choosing a model per prompt saves, on public data: `python -m bench.routing [--set NAME] [--pools | --pairs]`.

Three public sets with every model's score on every prompt. With two models: in which order should prompts go to the
strong one? `APGR$` is the share of the quality gap that is closed, over the share of the extra dollars that is spent:
0.5 is chance, an oracle passes 1. `save@95`: the dollars saved against always the strong model at 95 % of its quality.
With more models: what does `auto` do with them, as it is shipped?

Everything is chosen on one half of the prompts, thresholds too, and reported on the other, whose hash is printed.
In-domain: five parts, what is expected of a prompt is learnt from the other four. Unseen topics: four parts of whole
topics; orders are compared within each part. Intervals: 95 %, bootstrap over prompts; over whole topics where the parts
are taken together.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from bench.routing_pairs import Pair, in_domain, measured, over_topics, unseen
from bench.routing_pools import Pool, aiq_rows, expectations, pool_rows
from bench.routing_sets import BEFORE, DATA, PAIRS, POOLS, PUBLISHED, TIERS, load
from bench.routing_tiers import tier_rows
from bench.run import machine, save

Rows = Mapping[str, Mapping[str, Any]]
OURS = ("ours", "ours, per dollar")
TOPIC_MEANS = ("topic mean", "topic mean, per dollar")
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
        found["over_topics"] = over_topics(pair, orders, parts)
        print("all parts together, APGR$ and beyond the best rule; intervals: other topics")
        for row, each in found["over_topics"].items():
            beyond = f"{each['difference']:+.3f} ± {each['difference_interval']:.3f} beyond {each['beyond']}"
            print(f"  {row:52s} {each['apgr']:6.3f} ± {each['interval']:.3f}  {beyond}")
    print("before: " + ", ".join(f"{what} {apgr:.2f} / {saved} %" for what, (apgr, saved) in BEFORE[name].items()))
    return found


def pool_result(name: str) -> dict[str, Any]:
    files, models = POOLS[name]
    pool = Pool(load(name, files, models))
    found: dict[str, Any] = {"split": pool.set.split, "prompts": len(pool.set), "strong": pool.strong}
    print(f"\n## {name}: {len(pool.set):,} prompts, test half {pool.set.split}")
    for what, new in (("in_domain", False), ("unseen", True)):
        expected = expectations(pool, new)
        found[what] = pool_rows(pool, expected)
        found[f"{what}_aiq"] = aiq_rows(pool, expected)
        print(f"{what}: quality kept and dollars saved against always {pool.strong}")
        for row, each in found[what].items():
            flag = "  WORSE AND DEARER than the best cheap model" if each["worse_and_dearer_than_cheap"] else ""
            within = f"{each['kept']:7.1%} ± {each['interval']:.1%}"
            print(f"  {row:60s} {within} {each['saved']:7.1%}  mostly {each['most_used']}{flag}")
        print("  AIQ: " + ", ".join(f"{row} {each:.4f}" for row, each in found[f"{what}_aiq"].items()))
        if name == TIERS and not new:
            found["tiers"] = tier_rows(pool.set, expected["ours"])
            print("70 % small, 20 % middle, 10 % strong: quality kept and dollars saved")
            for row, each in found["tiers"].items():
                print(f"  {row:60s} {each['kept']:7.1%} {each['saved']:7.1%}")
    return found


def show(title: str, rows: Rows) -> None:
    print(f"{title}: APGR$, on all prompts, AIQ, and for 95 % and 99 % the share kept and the dollars saved")
    for name, row in rows.items():
        within = f" ± {row['interval']:.3f}" if "interval" in row else " " * 8
        at = "   ".join(f"{row[f'kept@{keep}']:6.1%} {row[f'save@{keep}']:6.1%}" for keep in ("95%", "99%"))
        everywhere = f"{row['apgr_all']:6.3f}" if "apgr_all" in row else " " * 6
        print(f"  {name:52s} {row['apgr']:6.3f}{within} {everywhere} {row['aiq']:.4f}  {at}")


def chosen(rows: Rows, names: tuple[str, ...]) -> str:
    """Which of these did best on the choosing half."""
    return max((name for name in names if "apgr_choosing" in rows[name]), key=lambda name: rows[name]["apgr_choosing"])


def goals(pairs: Mapping[str, Any], pools: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, each in pairs.items():
        rows = each["in_domain"]
        ours, best = chosen(rows, OURS), each["before"]["best in-domain"][0]
        simple = rows[chosen(rows, TOPIC_MEANS)]["apgr"]
        found.append({"goal": f"{name}, in-domain: APGR$ ≥ {best}, the best before; on all prompts, as that was",
                      "by": ours, "measured": rows[ours]["apgr_all"], "test_half": _within(rows[ours]),
                      "holds": rows[ours]["apgr_all"] >= best})  # fmt: skip
        found.append({"goal": f"{name}, in-domain: APGR$ ≥ {simple}, the topic's mean on the test half", "by": ours,
                      "measured": _within(rows[ours]), "holds": rows[ours]["apgr"] >= simple})  # fmt: skip
        if "unseen" in each:
            rows = each["unseen"]
            ours, name_of_best = chosen(rows, OURS), max(SIMPLE, key=lambda row: rows[row]["apgr"])
            best = rows[name_of_best]["apgr"]
            found.append({"goal": f"{name}, unseen topics: APGR$ ≥ {best}, the best rule without data ({name_of_best})",
                          "by": ours, "measured": _within(rows[ours]), "holds": rows[ours]["apgr"] >= best,
                          "difference": f"{rows[ours]['apgr'] - best:+.3f} ± {rows[ours]['beyond_interval']:.3f}",
                          "all parts together, over topics": _beyond(each["over_topics"][ours]),
                          "LiteLLM, measured before": max(each["before"][who][0] for who in ("LiteLLM", "LiteLLM v2")),
                          })  # fmt: skip
    for name, each in pools.items():
        for what in ("in_domain", "unseen"):
            row = each[what]["ours, auto as shipped"]
            found.append({"goal": f"{name}, {what}: auto is never worse and dearer than the best cheap model",
                          "measured": f"keeps {row['kept']:.1%} ± {row['interval']:.1%}, saves {row['saved']:.1%}",
                          "holds": not row["worse_and_dearer_than_cheap"]})  # fmt: skip
    return found


def _beyond(row: Mapping[str, Any]) -> str:
    return f"{row['difference']:+.3f} ± {row['difference_interval']:.3f} beyond {row['beyond']}"


def _within(row: Mapping[str, Any]) -> str:
    return f"{row['apgr']:.3f} ± {row['interval']:.3f}"


def main(quick: bool, only_pools: bool, only_pairs: bool, of: str) -> int:
    if not (DATA / "routing").is_dir():
        print(f"skipped: no data folder at {DATA}; set CHITTY_DATA to one")
        return 0
    print((__doc__ or "").partition("\n\n")[2])
    small = ("RouteLLM-GSM8K", "LLMRouter-9 9B→51B", "LLMRouter-9")
    names = [name for name in [*PAIRS, *POOLS] if of in name and (name in small or not quick)]
    pairs = {name: pair_result(name) for name in names if name in PAIRS and not only_pools}
    pools = {name: pool_result(name) for name in names if name in POOLS and not only_pairs}
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
    parser.add_argument("--pairs", action="store_true", help="pairs of models alone")
    parser.add_argument(
        "--set", default="", metavar="NAME", help="only what has this in its name: flash→pro, LLMRouter"
    )
    given = parser.parse_args()
    sys.exit(main(given.quick, given.pools, given.pairs, given.set))

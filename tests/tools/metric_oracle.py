#!/usr/bin/env python3
"""Writes tests/golden/metric.tsv: random judgements and rankings with nDCG@10,
recall@10 and MRR@10 as trec_eval defines them (ndcg_cut_10, recall_10,
recip_rank cut at 10), computed here from the definitions.

Columns: ranked grades by commas, all judged grades by commas, nDCG, recall, MRR.
"""
import math
import random

random.seed(20)


def dcg(grades):
    return sum(max(g, 0) / math.log(i + 2, 2) for i, g in enumerate(grades))


print("ranked\tjudged\tndcg_at_10\trecall_at_10\tmrr_at_10")
for _ in range(60):
    judged = [random.choice([0, 0, 1, 1, 2, 3, -1]) for _ in range(random.randint(1, 25))]
    if not any(g > 0 for g in judged):
        judged.append(1)
    pool = judged + [0] * random.randint(0, 20)
    random.shuffle(pool)
    ranked = pool[: random.randint(1, len(pool))]
    best = dcg(sorted(judged, reverse=True)[:10])
    found = sum(g > 0 for g in ranked[:10])
    first = next((1 / (i + 1) for i, g in enumerate(ranked[:10]) if g > 0), 0)
    print(",".join(map(str, ranked)), ",".join(map(str, judged)),
          "%.12f" % (dcg(ranked[:10]) / best), "%.12f" % (found / sum(g > 0 for g in judged)),
          "%.12f" % first, sep="\t")

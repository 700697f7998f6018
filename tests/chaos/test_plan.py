# SPDX-License-Identifier: Apache-2.0
"""The plan holds what is promised of it, for every seed."""
import collections

import pytest

from plan import BROKERS, KINDS, QUIET_BEGIN_S, QUIET_END_S, make_plan

SEEDS = range(200)


def test_a_seed_is_a_plan():
    assert make_plan(7, 180) == make_plan(7, 180)
    assert make_plan(7, 180) != make_plan(8, 180)


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_minutes_hold_a_hundred_faults_and_three_wipes(seed):
    kinds = collections.Counter(f.kind for f in make_plan(seed, 600))
    assert sum(kinds.values()) >= 100
    assert kinds["flushall"] >= 3


def test_three_minutes_hold_a_wipe_with_deaths_of_workers():
    for seed in SEEDS:
        plan = make_plan(seed, 180)
        wipes = [f for f in plan if f.kind == "flushall"]
        assert len(wipes) >= 2
        assert any(f.kind == "kill-worker" and f.at == w.at for w in wipes for f in plan)


def test_every_kind_comes():
    seen = {f.kind for seed in SEEDS for f in make_plan(seed, 180)}
    assert seen == set(KINDS) | {"flushall"}


def test_nobody_has_two_faults_at_a_time():
    for seed in SEEDS:
        until = {}
        for fault in make_plan(seed, 600):
            for who in fault.who() if fault.kind != "flushall" else ():
                assert fault.at >= until.get(who, 0), fault
                until[who] = fault.at + fault.seconds


def test_two_brokers_are_away_together_only_where_the_plan_says_so():
    for seed in SEEDS:
        away = 0.0
        for fault in make_plan(seed, 600):
            if "-broker" in fault.kind:
                assert len(fault.who()) == (2 if fault.kind == "freeze-brokers" else 1)
                assert set(fault.who()) <= set(BROKERS) and fault.at >= away, fault
                away = fault.at + fault.seconds


def test_a_plan_begins_and_ends_in_quiet():
    for seed in SEEDS:
        for fault in make_plan(seed, 60):
            assert QUIET_BEGIN_S <= fault.at <= 60 - QUIET_END_S


def test_redis_is_there_when_it_is_to_be_wiped():
    for seed in SEEDS:
        plan = make_plan(seed, 600, 1.5)
        for wipe in (f.at for f in plan if f.kind == "flushall"):
            assert not any(f.at <= wipe < f.at + f.seconds for f in plan if "-redis" in f.kind)

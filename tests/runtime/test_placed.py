"""Counts on cores against a walk of every spike through every synapse, message by message, link by link."""

from __future__ import annotations

import weakref
from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sne_deploy.backend import RunOptions
from sne_deploy.chips.chip import load_chip
from sne_deploy.energy.time import StepRates
from sne_deploy.errors import VerificationError
from sne_deploy.ir.program import ALWAYS_ON, Program, Synapse
from sne_deploy.mapping.memory import words_read
from sne_deploy.mapping.placement import Core, PlacedGroup, Placement, Site
from sne_deploy.mapping.reach import reach
from sne_deploy.mapping.wiring import PATHS, Wiring
from sne_deploy.runtime import placing
from sne_deploy.runtime.placed import join_placed
from sne_deploy.runtime.placing import Placer, place_run
from sne_deploy.runtime.result import RunResult, StudentResult
from sne_deploy.runtime.step_times import Columns
from sne_deploy.runtime.trace import not_run
from sne_loihi.executable import LoihiExecutable
from tests import reference, strategies
from tests.effort import examples
from tests.small_programs import one_layer

CHIP = load_chip("loihi1")
COLUMNS = 8
PER_CORE = ("synops", "updates", "memory_words", "spikes", "messages_in")
RATES = (
    StepRates(1e-9, 1e-9, None, None, None),
    StepRates(1e-9, 5e-10, 2e-9, 7e-9, 1.1e-8),
    StepRates(1e-12, 0.0, 0.0, 3e-9, 1e-9),
)


@dataclass
class Walked:
    """What one student did, counted one by one."""

    cores: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in PER_CORE})
    samples: dict[str, list[int]] = field(default_factory=dict)
    sent_by: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    streamed: list[list[float]] = field(default_factory=list)
    alone: list[list[float]] = field(default_factory=list)
    busiest: Counter[int] = field(default_factory=Counter)


def walk(program: Program, placement: Placement, run: StudentResult, inputs: Any, rates: StepRates) -> Walked:
    found, steps = Walked(), program.timesteps
    where = {g.name: placement.of(program.name, g.name).core_of.tolist() for g in program.groups}
    reached = {synapse.name: reference.fan_out(synapse) for synapse in program.synapses}
    read = {synapse.name: words(synapse, where[synapse.target], placement) for synapse in program.synapses}
    idle = max(enabled(program, where).values()) * rates.update_s
    for name in (*PATHS, "from_host"):
        found.samples[name] = [0] * len(inputs)
    for n in np.flatnonzero(run.active):
        work: list[Counter[Any]] = [Counter() for _ in range(steps + program.max_depth)]
        walk_whatever_the_sample(found, n, program, where)
        for source, t, i in sent(program, run, inputs, n):
            own = where[source][i] if source in where else None
            if own is not None:
                found.cores["spikes"][own] += 1
            for synapse in program.synapses:
                if synapse.source == source and t + program.lag(synapse) < steps:
                    at = leaves(program, synapse) + t
                    targets = [where[synapse.target][o] for o, _ in reached[synapse.name].get(i, [])]
                    for core, synapses in Counter(targets).items():
                        loaded = int(read[synapse.name][i, core])
                        before = {name: found.samples[name][n] for name in PATHS}
                        deliver(found, n, placement, own, core, synapses, loaded, work[at])
                        for name in PATHS:
                            found.sent_by[source][name] += found.samples[name][n] - before[name]
        step = [longest(each, rates, idle) for each in work]
        found.alone.append(step)
        folded: list[Counter[Any]] = [Counter() for _ in range(steps)]
        for at, each in enumerate(work):
            folded[at % steps].update(each)
        found.streamed.append([longest(each, rates, idle) for each in folded])
        for core in enabled(program, where):
            own = [Counter({key: n for key, n in each.items() if key[1:] == (core,)}) for each in folded]
            found.busiest[core] = max(found.busiest[core], *(longest(each, rates, idle) for each in own))
    return found


def words(synapse: Synapse, core_of: list[int], placement: Placement) -> np.ndarray:
    """Words of memory that a spike of each source reads on each core; ``test_memory.py`` counts them."""
    cores, on = len(placement.cores), np.asarray(core_of)
    reached = reach(synapse.weights, on, cores)
    return np.asarray(words_read(synapse, on, cores, CHIP, reached).toarray())


def enabled(program: Program, where: dict[str, list[int]]) -> Counter[int]:
    found: Counter[int] = Counter()
    for group in program.groups:
        for core in where[group.name]:
            found[core] += program.compartments(group)
    return found


def walk_whatever_the_sample(found: Walked, n: int, program: Program, where: dict[str, list[int]]) -> None:
    for core, count in enabled(program, where).items():
        found.cores["updates"][core] += count * program.timesteps
    for group in program.groups:
        host = program.host_of(group.name)
        if host is not None and host.per_step_messages:
            found.samples["from_host"][n] += group.size * program.timesteps
            for core in where[group.name]:
                found.cores["messages_in"][core] += program.timesteps


def sent(program: Program, run: StudentResult, inputs: Any, n: int) -> Any:
    for name, spikes in run.spikes.items():
        flat = spikes[n].reshape(program.timesteps, -1)
        yield from ((name, int(t), int(i)) for t, i in np.argwhere(flat))
    if program.spike_input:
        flat = inputs[n].reshape(program.timesteps, -1)
        yield from ((program.input.name, int(t), int(i)) for t, i in np.argwhere(flat))
    yield from ((ALWAYS_ON, t, 0) for t in range(program.timesteps))


def leaves(program: Program, synapse: Synapse) -> int:
    if synapse.source == ALWAYS_ON:
        return max(program.group(synapse.target).depth - 1, 0)
    return 0 if synapse.source == program.input.name else program.group(synapse.source).depth


def deliver(
    found: Walked,
    n: int,
    placement: Placement,
    own: int | None,
    core: int,
    synapses: int,
    words: int,
    work: Counter[Any],
) -> None:
    found.cores["synops"][core] += synapses
    found.cores["memory_words"][core] += words
    found.cores["messages_in"][core] += 1
    work["synops", core] += synapses
    work["memory", core] += words
    if own is None:
        found.samples["from_host"][n] += 1
        return
    a, b = placement.cores[own].site, placement.cores[core].site
    if own == core:
        kind = "within_core"
    elif a.chip != b.chip:
        kind = "across_chips"
    else:
        kind = "within_tile" if (a.x, a.y) == (b.x, b.y) else "within_chip"
    found.samples[kind][n] += 1
    start, end = a.chip * COLUMNS + a.x, b.chip * COLUMNS + b.x  # chips stand side by side
    for x in range(min(start, end), max(start, end)):
        if (x + 1) % COLUMNS:  # else from chip to chip
            found.samples["hops_east_west"][n] += 1
            work["x", x, a.y, start < end] += 1
    for y in range(min(a.y, b.y), max(a.y, b.y)):
        found.samples["hops_north_south"][n] += 1
        work["y", end, y, a.y < b.y] += 1


def longest(work: Counter[Any], rates: StepRates, idle: float) -> float:
    rate = {
        "synops": rates.synop_s,
        "memory": rates.word_s,
        "x": rates.hop_east_west_s,
        "y": rates.hop_north_south_s,
    }
    return max([idle, *(count * (rate[key[0]] or 0.0) for key, count in work.items())])


@st.composite
def placements(draw: Any, programs: list[Program]) -> Placement:
    """Neurons anywhere, students mixed on a core, sites anywhere: nothing that a mapper would do."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 9))
    places = rng.permutation(2 * 3 * 2 * 2)[:count]
    sites = [Site(*(int(i) for i in np.unravel_index(place, (2, 3, 2, 2)))) for place in places]
    groups = tuple(
        PlacedGroup(p.name, g.name, rng.integers(0, count, g.size, dtype=np.int32), (1,))
        for p in programs
        for g in p.groups
    )
    return Placement("loihi1", "random", groups, tuple(Core(site, {}) for site in sites), 2)


def ran(program: Program, inputs: Any, active: Any) -> StudentResult:
    if not active.any():
        return StudentResult(program, active, not_run(program, len(inputs)), None)
    trace = LoihiExecutable(program, RunOptions()).run(inputs[active], "spikes")
    return StudentResult(program, active, trace.spread(active), None)


@settings(max_examples=examples(15), deadline=None)
@given(st.data())
def test_counts_are_those_of_a_walk(data: Any) -> None:
    programs = [replace(data.draw(strategies.programs("fixed")), name=name) for name in ("a", "b")]
    placement = data.draw(placements(programs))
    rates = data.draw(st.sampled_from(RATES))
    for program in programs:
        inputs = data.draw(strategies.inputs_for(program))
        active = np.array(data.draw(st.lists(st.booleans(), min_size=len(inputs), max_size=len(inputs))))
        active[0] = True
        student = ran(program, inputs, active)
        placer = Placer(Wiring.of(program, placement, CHIP), rates)
        counts, times = placer.count(student, inputs)
        expected = walk(program, placement, student, inputs, rates)
        assert counts is not None
        assert times is not None
        for name in PER_CORE:
            assert dict(enumerate(getattr(counts, name).tolist())) == {
                core: expected.cores[name][core] for core in range(len(placement.cores))
            }, name
        for name, values in expected.samples.items():
            assert getattr(counts, name).tolist() == values, name
        for group in program.groups:
            walked = [expected.sent_by[group.name][name] for name in PATHS]
            assert list(counts.sent_by[group.name]) == walked
        np.testing.assert_allclose(times.streamed[active], expected.streamed, rtol=1e-12)
        np.testing.assert_allclose(times.alone[active], expected.alone, rtol=1e-12)
        busiest = [expected.busiest[core] for core in range(len(placement.cores))]
        np.testing.assert_allclose(counts.busiest_s, busiest, rtol=1e-12)
        assert sum(counts.bound_by.values()) == active.sum() * program.timesteps
        assert counts.steps.tolist() == (active * program.timesteps).tolist()


def students(data: Any, samples: int = 5) -> tuple[list[Program], Placement, Any]:
    """Two students on the same input and steps."""
    first = data.draw(strategies.programs("fixed"))
    programs = [replace(first, name="a"), replace(first, name="b")]
    return programs, data.draw(placements(programs)), data.draw(strategies.inputs_for(first, samples))


def run_of(programs: list[Program], inputs: Any, active: Any) -> RunResult:
    several = tuple(ran(p, inputs, active[:, k]) for k, p in enumerate(programs))
    nothing = np.zeros(len(inputs), np.int64)
    return RunResult(several, np.zeros((len(inputs), 1)), nothing, active, None, nothing, nothing, 0.0)


ACTIVE = np.array([[True, True], [True, False], [False, True], [True, True], [False, True]])


@settings(max_examples=examples(5), deadline=None)
@given(st.data())
def test_a_cascade_sums_its_students_and_an_ensemble_waits_for_the_longest_of_each_step(data: Any) -> None:
    programs, placement, inputs = students(data)
    rates = data.draw(st.sampled_from(RATES))
    placers = [Placer(Wiring.of(program, placement, CHIP), rates) for program in programs]
    run = run_of(programs, inputs, ACTIVE)
    each = [walk(p, placement, s, inputs, rates) for p, s in zip(programs, run.students, strict=True)]
    in_turn = place_run(run, placers, inputs, one_by_one=True).placed
    together = place_run(run, placers, inputs, one_by_one=False).placed
    assert in_turn is not None
    assert together is not None
    steps, latency = programs[0].timesteps, programs[0].timesteps + programs[0].max_depth
    assert together.steps.tolist() == [steps] * 5
    assert together.latency_steps.tolist() == [latency] * 5
    assert in_turn.steps.tolist() == in_turn.latency_steps.tolist() == (ACTIVE.sum(axis=1) * latency).tolist()
    for n in range(5):
        mine = [k for k in (0, 1) if ACTIVE[n, k]]
        at = {k: int(ACTIVE[:n, k].sum()) for k in mine}
        alone = [each[k].alone[at[k]] for k in mine]
        assert in_turn.busy_s is not None
        assert together.busy_s is not None
        assert together.latency_busy_s is not None
        assert in_turn.busy_s[n] == pytest.approx(sum(map(sum, alone)), rel=1e-12)
        assert together.latency_busy_s[n] == pytest.approx(sum(map(max, zip(*alone, strict=True))), rel=1e-12)
        streamed = [each[k].streamed[at[k]] for k in mine]
        assert together.busy_s[n] == pytest.approx(sum(map(max, zip(*streamed, strict=True))), rel=1e-12)


@settings(max_examples=examples(5), deadline=None)
@given(st.data())
def test_slices_joined_are_the_run_at_once(data: Any) -> None:
    programs, placement, inputs = students(data)
    placers = [Placer(Wiring.of(program, placement, CHIP), RATES[1]) for program in programs]

    def placed(part: slice) -> RunResult:
        return place_run(
            run_of(programs, inputs[part], ACTIVE[part]), placers, inputs[part], one_by_one=False
        )

    whole, parts = placed(slice(0, 5)), [placed(slice(0, 2)), placed(slice(2, 3)), placed(slice(3, 5))]
    for k in (0, 1):
        found = [part.students[k].placed for part in parts]
        one, joined = whole.students[k].placed, join_placed([each for each in found if each is not None])
        assert one is not None
        for each in fields(one):
            value = getattr(one, each.name)
            if isinstance(value, np.ndarray):
                np.testing.assert_allclose(getattr(joined, each.name), value, rtol=1e-12, err_msg=each.name)
            else:
                assert getattr(joined, each.name) == value, each.name


def test_a_run_that_contradicts_its_spikes_is_refused() -> None:
    program = one_layer([[2, 4], [0, 6]], "mixed")
    group = PlacedGroup("tiny", "g", np.zeros(2, np.int32), (2,))
    placement = Placement("loihi1", "one", (group,), (Core(Site(0, 0, 0, 0), {}),), 1)
    inputs = np.ones((1, 4, 2), np.uint8)
    student = ran(program, inputs, np.array([True]))
    placer = Placer(Wiring.of(program, placement, CHIP), None)
    counts, times = placer.count(student, inputs)
    assert counts is not None
    assert times is None
    assert counts.busy_s is None
    assert counts.synops.tolist() == [12]
    layer = student.trace.layers[0]
    for name in ("synops", "spikes", "updates_idle"):
        wrong = replace(layer, **{name: getattr(layer, name) + 1})
        changed = replace(student, trace=replace(student.trace, layers=(wrong,)))
        with pytest.raises(VerificationError, match=r"student 'tiny': .* on cores are .*, those of the run"):
            placer.count(changed, inputs)
    silent = replace(student, trace=student.trace.without_recordings())
    assert placer.count(silent, inputs) == (None, None)


def test_what_is_found_on_links_is_held_once() -> None:
    program = one_layer([[2, 4], [0, 6]], "mixed")
    group = PlacedGroup("tiny", "g", np.zeros(2, np.int32), (2,))
    placement = Placement("loihi1", "one", (group,), (Core(Site(0, 0, 0, 0), {}),), 1)
    wiring = Wiring.of(program, placement, CHIP)
    columns = Columns.find(wiring, RATES[1])
    links = [weakref.ref(axons.links.data) for axons in wiring.axons]
    found = [weakref.ref(matrix.data) for matrix in columns.of]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Columns, "find", lambda *_, found=[columns]: found.pop())
        placer = Placer(wiring, RATES[1])
    del wiring, columns, patch
    assert placer.wiring.program is program
    assert not any(each() is not None for each in (*links, *found))


@pytest.mark.parametrize("name", ["CHUNK_NEURONS", "CHUNK_ROWS", "BLOCK_BYTES", "EXACT"])
@settings(
    max_examples=examples(3), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_how_products_are_cut_changes_nothing(monkeypatch: pytest.MonkeyPatch, name: str, data: Any) -> None:
    (program, _), placement, inputs = students(data)
    student, wiring = ran(program, inputs, np.ones(5, bool)), Wiring.of(program, placement, CHIP)
    expected, _ = Placer(wiring, RATES[1]).count(student, inputs)
    with monkeypatch.context() as patch:
        patch.setattr(placing, name, 3)
        found, _ = Placer(wiring, RATES[1]).count(student, inputs)
    assert expected is not None
    assert found is not None
    for each in fields(expected):
        values = [getattr(counts, each.name) for counts in (found, expected)]
        if isinstance(values[0], dict):
            assert values[0] == values[1]
        else:
            np.testing.assert_allclose(*values, rtol=1e-12, err_msg=each.name)

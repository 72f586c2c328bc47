"""Whatever people do to a chain: it agrees with the module, or it is an error."""

import pytest

from tests.effort import examples
from tests.frontend.norse.random_chains import outcome, random_case


@pytest.mark.filterwarnings("ignore")
def test_a_random_chain_agrees_with_its_module_or_is_refused():
    verdicts = []
    for seed in range(examples(5)):
        case = random_case(seed)
        verdict, reason = outcome(case)
        assert reason != "differs", f"{seed}: {case.what}"
        if verdict == "refused":
            assert case.fault, f"{seed}: {case.what}: {reason}"
            assert "\n" not in reason
        verdicts.append(verdict)
    assert verdicts.count("accepted") >= 0.6 * len(verdicts)

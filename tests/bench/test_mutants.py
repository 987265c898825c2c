"""The hostile mail that `bench.mutants` makes, in small."""

from bench import mutants


def test_no_wound_makes_the_parser_raise() -> None:
    mails = list(mutants.mutants(7, 400, mutants.samples()))
    assert len(set(mails)) == 400
    found = mutants.measure((str(number), raw) for number, raw in enumerate(mails))
    assert found["mails"] == 400
    assert found["raised"] == {}


def test_a_seed_makes_the_same_mails() -> None:
    mails = mutants.samples()[:3]
    assert list(mutants.mutants(1, 20, mails)) == list(mutants.mutants(1, 20, mails))
    assert list(mutants.mutants(1, 20, mails)) != list(mutants.mutants(2, 20, mails))


def test_attacks_are_read_like_any_mail() -> None:
    found = mutants.measure(mutants.attacks(0.05))
    assert found["mails"] > 30
    assert found["raised"] == {}

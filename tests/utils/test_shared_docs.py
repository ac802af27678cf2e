"""Descriptions of arguments that are written once."""

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.utils.shared_docs import arguments_as_in


def source(near: int, far: int) -> None:
    """Describe both.

    Args:
        near: how near it is, in words that are many enough to need a second line in a docstring of
            a hundred columns.
        far: how far.
    """


@arguments_as_in(source)
def target(near: int, own: int, far: int) -> None:
    """Describe one.

    Args:
        near: as in source.
        own: as in source, but its own.
        far: as in source.
    """


def test_only_what_refers_to_the_source_is_replaced():
    assert target.__doc__ is not None
    lines = [line.strip() for line in target.__doc__.splitlines()]
    assert "far: how far." in lines
    assert "own: as in source, but its own." in lines
    described = " ".join(lines)
    assert "near: how near it is, in words that are many enough to need a second line" in described
    assert max(map(len, target.__doc__.splitlines())) <= 100


def test_the_data_module_says_what_collections_say():
    assert AtariDataModule.__doc__ is not None
    assert CollectionSettings.__doc__ is not None
    assert "as in CollectionSettings" not in AtariDataModule.__doc__
    ours, theirs = (
        " ".join(text.__doc__.split()) for text in (AtariDataModule, CollectionSettings)
    )
    sentence = "an action is replaced by a uniformly random one. The paper's PPO agent has 0.2."
    assert sentence in ours
    assert sentence in theirs

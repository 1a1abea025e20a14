"""Model cards."""

from edge_pipeline.artifact.provenance import ModelCard

OLD = {"name": "a", "description": "b", "training_data": ["c"], "licence": "MIT"}


def test_a_card_without_labels_is_read() -> None:
    card = ModelCard.model_validate(OLD)
    assert (card.labels, card.background) == (None, None)


def test_a_card_keeps_its_labels() -> None:
    card = ModelCard.model_validate(OLD | {"labels": ["sky", "road"], "background": False})
    assert ModelCard.model_validate_json(card.model_dump_json(), strict=True) == card
    assert card.labels == ("sky", "road")

"""Everything the training script was told, and what of it can be made before there is a model."""

from __future__ import annotations

from typing import Any, NamedTuple

from entrostat.errors import sentence, unknown_name
from entrostat.integrations.trl._script_arguments import DryRunArguments, RecipeArguments, RewardArguments
from entrostat.recipes import Recipe


class Settings(NamedTuple):
    """The settings of a command line and the file it names; TRL's own kinds are as in TRL."""

    recipe: RecipeArguments
    reward: RewardArguments
    script: Any
    training: Any
    model: Any
    mixture: Any
    dry: DryRunArguments

    def made(self) -> tuple[Recipe, list[Any]]:
        """Return the recipe and the rewards.

        Raises:
            ValueError: one of them cannot be made, or no model is named.
        """
        recipe, rewards = self.recipe.build(), self.reward.resolve()
        if self.model.model_name_or_path is None:
            raise ValueError(sentence("model_name_or_path", "be given", None))
        return recipe, rewards

    def dataset(self) -> Any:
        """Return the splits of the dataset.

        Raises:
            ValueError: none is named, or there is none of that name.
            ConnectionError: it is not here, and the Hub cannot be reached.
        """
        if self.mixture.datasets:
            from trl.scripts.utils import get_dataset

            return get_dataset(self.mixture)
        if self.script.dataset_name is None:
            raise ValueError("there is nothing to train on: give `dataset_name`, or `datasets` in the file.")
        from datasets import load_dataset

        name = self.script.dataset_name
        rule = "be a directory that is here, or a dataset on the Hub"
        try:
            return load_dataset(name, name=self.script.dataset_config, streaming=self.script.dataset_streaming)
        except ConnectionError as error:
            raise ConnectionError(sentence("dataset_name", rule, name, f"{error}.")) from None
        except FileNotFoundError as error:
            raise ValueError(sentence("dataset_name", rule, name, f"{error}.")) from None


def split_of(dataset: Any, name: str) -> Any:
    """Return a split of a dataset; raises `ValueError` if there is none of that name."""
    if name not in dataset:
        raise unknown_name("split of the dataset", name, dataset)
    return dataset[name]

"""Recipes: published systems, each a function that names its parts. `recipe` registers your own."""

# Written by docs/make_exports.py from the modules beside this file.

from entrostat.recipes._adrpo import adrpo
from entrostat.recipes._aent import aent
from entrostat.recipes._aepo import aepo
from entrostat.recipes._aer import aer
from entrostat.recipes._base import HOST_OFFERS, RECIPES, InertRecipeWarning, Paper, Recipe, Redraw, recipe
from entrostat.recipes._catalogue import build, describe, embedded, get, names
from entrostat.recipes._cde import cde
from entrostat.recipes._cispo import cispo
from entrostat.recipes._clip_higher import clip_higher
from entrostat.recipes._covariance import clip_cov, kl_cov
from entrostat.recipes._em_rl import em_rl
from entrostat.recipes._entrocraft import entrocraft
from entrostat.recipes._entropic import entropic
from entrostat.recipes._entropy_advantage import entropy_advantage
from entrostat.recipes._entropy_bonus import entropy_bonus
from entrostat.recipes._era import era
from entrostat.recipes._espo import espo
from entrostat.recipes._flexible_clipping import flexible_clipping
from entrostat.recipes._gradient_preserving import ce_gppo, erc, gppo
from entrostat.recipes._gspo import gspo
from entrostat.recipes._high_entropy_tokens import high_entropy_tokens
from entrostat.recipes._none import none
from entrostat.recipes._rent import rent
from entrostat.recipes._rpg import rpg
from entrostat.recipes._siren import siren
from entrostat.recipes._skywork import skywork
from entrostat.recipes._stare import stare
from entrostat.recipes._tre import tre
from entrostat.recipes._ucas import ucas

__all__ = [
    "HOST_OFFERS", "RECIPES", "InertRecipeWarning", "Paper", "Recipe", "Redraw", "adrpo", "aent", "aepo", "aer",
    "build", "cde", "ce_gppo", "cispo", "clip_cov", "clip_higher", "describe", "em_rl", "embedded", "entrocraft",
    "entropic", "entropy_advantage", "entropy_bonus", "era", "erc", "espo", "flexible_clipping", "get", "gppo", "gspo",
    "high_entropy_tokens", "kl_cov", "names", "none", "recipe", "rent", "rpg", "siren", "skywork", "stare", "tre",
    "ucas",
]  # fmt: skip

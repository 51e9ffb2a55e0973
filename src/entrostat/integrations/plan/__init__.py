"""What a training would take, before there is a GPU: memory of one GPU, work and traffic of one step."""

from entrostat.integrations.plan._plan import Plan as Plan
from entrostat.integrations.plan._plan import plan_memory as plan_memory
from entrostat.integrations.plan._setup import Setup as Setup
from entrostat.integrations.plan._shape import Lora as Lora
from entrostat.integrations.plan._shape import ModelShape as ModelShape
from entrostat.integrations.plan._shape import meta_model as meta_model
from entrostat.integrations.plan._shape import read_shape as read_shape
from entrostat.integrations.plan._shape import shape_of as shape_of
from entrostat.integrations.plan._table import sentences as sentences
from entrostat.integrations.plan._table import table as table
from entrostat.integrations.plan._table import verdict as verdict

__all__ = [
    "Lora",
    "ModelShape",
    "Plan",
    "Setup",
    "meta_model",
    "plan_memory",
    "read_shape",
    "sentences",
    "shape_of",
    "table",
    "verdict",
]

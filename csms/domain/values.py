"""How the values are declared that every frame makes anew."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frame_value(cls: type[T]) -> type[T]:
    """A frozen, slotted dataclass to whoever reads or checks the code; not frozen at run time.

    A frozen one sets every field through object.__setattr__: that took 8 % of the time of a frame
    (docs/performance.md). Everything that is not made for each frame is frozen for good.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)

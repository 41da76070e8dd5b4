import dataclasses

import numpy as np
import pytest

from pinrec_jax.evals import require


def test_lists_longer_than_what_they_are_made_of_are_refused(small, world):
  require.lists(small, world)
  some = np.arange(len(world.items.ids)) < 5
  small.data.cold_item_fraction = 0.1
  with pytest.raises(
    ValueError, match=r"back 4 items .* fewer than 6 by evals"
  ):
    require.lists(small, dataclasses.replace(world, withheld=some))
  small.evals.cutoffs = (999,)
  with pytest.raises(ValueError, match="999 of a catalog of 27 items"):
    require.lists(small, world)

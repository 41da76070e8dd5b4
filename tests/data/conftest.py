"""Tiny logs as raw files, in KuaiRand's layouts."""

import pandas as pd
import pytest

BITS = (
  "is_click", "long_view", "is_like", "is_follow", "is_comment", "is_forward",
  "is_hate", "is_profile_enter",
)  # fmt: skip
# User, video, long_watch, like; oldest first, without a time.
PAST = [(7, 50, 1, 0), (7, 10, 0, 0), (8, 20, 0, 1)]
# User, video, time, tab, actions. Three events of user 7 are of one second.
LOG = [
  (7, 10, 1651000500, 1, {"is_click"}),
  (7, 20, 1651000400, 0, {"is_profile_enter"}),
  (7, 30, 1651000400, 1, {"is_hate"}),
  (7, 10, 1651000400, 4, {"is_like", "long_view"}),
  (9, 40, 1651400000, 14, set()),
]
ITEMS = pd.DataFrame(
  {
    "video_id": [10, 20, 30, 40, 50],
    "author_id": [1, 1, 2, 3, 3],
    "video_type": ["NORMAL", "AD", "NORMAL", "NORMAL", "UNKNOWN"],
    "upload_type": ["a", "a", "b", "b", "b"],
    "video_duration": [1000.0, 2000.0, None, 8000.0, 500.0],
    "music_id": [5, 6, 7, 8, 9],
    "music_type": [9.0, None, 4.0, 9.0, 9.0],
    "tag": ["3", "3,4", None, "5,3,4,6", "4"],
  }
)
LOG_COLUMNS = (
  "user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "is_like",
  "is_follow", "is_comment", "is_forward", "is_hate", "long_view",
  "play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time",
  "is_profile_enter", "is_rand", "tab",
)  # fmt: skip
# Of the authors' tables: user, video, milliseconds, tab, actions. Two rows of
# user 7 are of one millisecond, a third of the same second, one is there twice.
TABLES = {
  "log_standard_4_08_to_4_21": [
    (8, 20, 1650000000123, 1, {"is_click"}),
    (7, 10, 1650000005000, 0, set()),
  ],
  "log_standard_4_22_to_5_08": [
    (7, 30, 1651334400100, 14, {"long_view"}),
    (7, 10, 1651334400050, 4, {"is_like", "is_hate"}),
    (7, 30, 1651334400100, 14, {"long_view"}),
    (7, 20, 1651334400100, 1, {"is_hate"}),
  ],
  "log_random_4_22_to_5_08": [
    (7, 40, 1651334400200, 1, {"is_rand", "is_click"}),
    (9, 10, 1651334400300, 1, {"is_rand", "is_click"}),
  ],
}


@pytest.fixture
def tables(tmp_path):
  """Returns a function that writes a tiny log as KuaiRand's authors do."""

  def write(variant):
    folder = tmp_path / f"KuaiRand-{variant}" / "data"
    folder.mkdir(parents=True)
    for name, rows in TABLES.items():
      told = [
        {"user_id": user, "video_id": video, "time_ms": time, "tab": tab}
        | dict.fromkeys(actions, 1)
        for user, video, time, tab, actions in rows
      ]
      log = pd.DataFrame(told, columns=LOG_COLUMNS).fillna(0).astype(int)
      log.to_csv(folder / f"{name}_{variant}.csv", index=False)
    ITEMS[:4].to_csv(
      folder / f"video_features_basic_{variant}.csv", index=False
    )
    return folder

  return write


@pytest.fixture
def raw(tmp_path):
  """Returns a function that writes the tiny log in a layout."""

  def mini(folder):
    rows = [
      (user, video, time, tab, sum(1 << BITS.index(name) for name in names))
      for user, video, time, tab, names in LOG
    ]
    columns = ["user_id", "video_id", "time_s", "tab", "actions"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "events.parquet")
    past = [(user, video, long | like << 1) for user, video, long, like in PAST]
    pd.DataFrame(past, columns=["user_id", "video_id", "flags"]).to_parquet(
      folder / "history.parquet"
    )
    ITEMS.to_csv(folder / "items.csv.gz", index=False)

  def pure(folder):
    rows = [
      (user, video, 1000 * time + 999, tab, *(int(b in names) for b in BITS))
      for user, video, time, tab, names in LOG
    ]
    columns = ["user_id", "video_id", "time_ms", "tab", *BITS]
    # The provider's file holds some rows twice.
    pd.DataFrame(rows + rows[:2], columns=columns).to_parquet(
      folder / "log_standard_4_25_to_5_08_pure.parquet"
    )
    users = sorted({user for user, *_ in PAST})
    own = [[event[1:] for event in PAST if event[0] == user] for user in users]
    pd.DataFrame(
      {
        "user_id": users,
        "watch_seq": [[video for video, _, _ in events] for events in own],
        "long_watch_seq": [[v for v, long, _ in e if long] for e in own],
        "like_seq": [[v for v, _, like in e if like] for e in own],
      }
    ).to_parquet(folder / "user_history_4_09_to_4_24_last50.parquet")
    ITEMS.to_csv(folder / "video_features_basic_pure.csv", index=False)

  def write(layout):
    folder = tmp_path / "raw" / layout
    folder.mkdir(parents=True)
    {"mini": mini, "pure": pure}[layout](folder)
    return folder

  return write


@pytest.fixture(scope="session")
def pieces_of(world):
  """Returns the function from a row's length to the training pieces."""
  from pinrec_jax import config as config_lib
  from pinrec_jax.data import histories, splits

  def of_length(length):
    return [
      piece
      for events in world.events
      for piece in histories.training(
        splits.past(world.vocabulary, events, "test"),
        config_lib.Data(sequence_length=length),
        end=world.vocabulary.test_from,
        outcomes=world.vocabulary.outcomes,
      )
    ]

  return of_length

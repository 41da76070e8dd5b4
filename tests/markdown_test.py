from pinrec_jax import markdown


def test_a_table_has_a_head_a_rule_and_its_rows():
  told = markdown.table(["", "recall"], (row for row in [["oc", "0.08"]]))
  assert told == "|  | recall |\n|--|--|\n| oc | 0.08 |"


def test_columns_line_up():
  told = markdown.aligned(["", "recall"], [["popularity", "0.08"], ["oc", ""]])
  assert told.splitlines() == [
    "|            | recall |",
    "| ---------- | ------ |",
    "| popularity | 0.08   |",
    "| oc         |        |",
  ]

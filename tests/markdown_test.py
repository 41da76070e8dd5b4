from pinrec_jax import markdown


def test_a_table_has_a_head_a_rule_and_rows():
  text = markdown.table(["", "recall"], (row for row in [["oc", "0.08"]]))
  assert text == "|  | recall |\n|--|--|\n| oc | 0.08 |"


def test_the_columns_are_aligned():
  text = markdown.aligned(["", "recall"], [["popularity", "0.08"], ["oc", ""]])
  assert text.splitlines() == [
    "|            | recall |",
    "| ---------- | ------ |",
    "| popularity | 0.08   |",
    "| oc         |        |",
  ]

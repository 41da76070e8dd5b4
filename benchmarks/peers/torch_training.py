"""A plain PyTorch SASRec with shared negatives: a training step.

  python -m peers.torch_training --unit=T4 [--compile]

Network, loss and optimizer are those of this package. Items pass an MLP, then
causal pre-norm blocks with fused attention. All positions share the negatives,
without their own target. Scores are cosines over a temperature. The optimizer
is AdamW with a clipped gradient.
"""

import argparse

import torch
from peers import turns, work
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
  """Attention, then an MLP four times as wide; each has a norm before it."""

  def __init__(self, width: int, heads: int) -> None:
    super().__init__()
    self.heads = heads
    self.attention_norm = nn.LayerNorm(width)
    self.joint = nn.Linear(width, 3 * width)
    self.out = nn.Linear(width, width)
    self.mlp = nn.Sequential(
      nn.LayerNorm(width), nn.Linear(width, 4 * width),
      nn.GELU(approximate="tanh"), nn.Linear(4 * width, width),
    )  # fmt: skip
    self.drop = nn.Dropout(work.DROPOUT)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    batch, length, width = x.shape
    joint = self.joint(self.attention_norm(x))
    joint = joint.view(batch, length, 3, self.heads, width // self.heads)
    query, key, value = joint.permute(2, 0, 3, 1, 4)
    read = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    x = x + self.drop(self.out(read.transpose(1, 2).reshape(x.shape)))
    return x + self.drop(self.mlp(x))


def mlp(width: int) -> nn.Module:
  """Returns an MLP with a hidden layer of twice the width."""
  return nn.Sequential(
    nn.Linear(width, 2 * width), nn.GELU(approximate="tanh"),
    nn.Linear(2 * width, width),
  )  # fmt: skip


class SASRec(nn.Module):
  """Maps histories and negatives to the mean loss."""

  def __init__(self, width: int, heads: int) -> None:
    super().__init__()
    self.item = nn.Embedding(work.ITEMS + 1, width)
    self.position = nn.Embedding(work.LENGTH, width)
    nn.init.normal_(self.item.weight, std=0.02)
    nn.init.normal_(self.position.weight, std=0.02)
    self.drop = nn.Dropout(work.DROPOUT)
    self.blocks = nn.Sequential(
      *(Block(width, heads) for _ in range(work.BLOCKS))
    )
    self.norm = nn.LayerNorm(width)
    self.content = mlp(width)
    self.log_temperature = nn.Parameter(torch.tensor(0.05).log())

  def forward(
    self, rows: torch.Tensor, negatives: torch.Tensor
  ) -> torch.Tensor:
    item, target = rows[:, :-1], rows[:, 1:]
    # There are fewer items than positions, so each item is embedded once.
    table = self.item.weight
    table = F.normalize(table + self.content(table), dim=-1)
    x = table[item] * table.shape[-1] ** 0.5 + self.position.weight
    x = self.norm(self.blocks(self.drop(x)))
    query = F.normalize(x, dim=-1) / self.log_temperature.exp()
    own = (query * table[target]).sum(-1, True)
    others = query @ table[negatives].T
    others = others.masked_fill(target[..., None] == negatives, -1e9)
    logits = torch.cat([own, others], -1).flatten(0, 1)
    # Uniform negatives need no correction: it would shift all scores equally.
    return F.cross_entropy(logits, logits.new_zeros(len(logits)).long())


def main() -> None:
  """Takes turns until no turn is wanted."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--compile", action="store_true")
  options, _ = parser.parse_known_args()
  unit = work.unit()
  torch.manual_seed(0)
  model = SASRec(unit.width, unit.heads)
  optimizer = torch.optim.AdamW(
    model.parameters(), lr=work.RATE, betas=(0.9, 0.98), weight_decay=0.01
  )
  rows = torch.from_numpy(work.histories()).long()
  loss_of = torch.compile(model) if options.compile else model
  everything = torch.arange(1, work.ITEMS + 1)

  def step() -> None:
    negatives = everything
    if unit.negatives:
      negatives = torch.randint(1, work.ITEMS + 1, (unit.negatives,))
    optimizer.zero_grad(set_to_none=True)
    loss_of(rows, negatives).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()

  turns.train(step)


if __name__ == "__main__":
  main()

#!/usr/bin/env bash
# GRPO on GSM8K with `aent`, through verl 0.9.x, vLLM and FSDP2, on one node with GPUs.
#
#   examples/verl/grpo_gsm8k_aent.sh                        one node
#   NODES=2 examples/verl/grpo_gsm8k_aent.sh                on the head of a Ray cluster; see README.md here
#   examples/verl/grpo_gsm8k_aent.sh trainer.total_epochs=1 whatever follows goes to verl, last word first
#
# Never run by us: we have tested its settings against verl's own configuration, not on a GPU.
set -euo pipefail

MODEL=${MODEL:-Qwen/Qwen2.5-1.5B-Instruct}
DATA=${DATA:-$HOME/data/gsm8k} # train.parquet and test.parquet, as verl's examples/data_preprocess/gsm8k.py writes them
GPUS=${GPUS:-4}
NODES=${NODES:-1}

# verl picks its engine by this, in every worker. On several nodes: set it before `ray start` on each.
export VERL_ENGINE_VENDOR=entrostat

host=(
  algorithm.adv_estimator=grpo
  data.train_files="$DATA/train.parquet"
  data.val_files="$DATA/test.parquet"
  data.train_batch_size=512
  data.max_prompt_length=512
  data.max_response_length=1024
  data.filter_overlong_prompts=True
  actor_rollout_ref.model.path="$MODEL"
  actor_rollout_ref.model.use_remove_padding=True
  actor_rollout_ref.model.enable_gradient_checkpointing=True
  actor_rollout_ref.actor.strategy=fsdp2
  actor_rollout_ref.actor.optim.lr=2e-6
  # Four optimizer steps for each batch of rollouts.
  actor_rollout_ref.actor.ppo_mini_batch_size=128
  actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=16
  actor_rollout_ref.actor.use_kl_loss=False
  actor_rollout_ref.rollout.name=vllm
  actor_rollout_ref.rollout.n=16
  actor_rollout_ref.rollout.tensor_model_parallel_size=1
  actor_rollout_ref.rollout.gpu_memory_utilization=0.6
  actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16
  trainer.logger='[console,file]'
  trainer.project_name=entrostat
  trainer.experiment_name=gsm8k_aent
  trainer.n_gpus_per_node="$GPUS"
  trainer.nnodes="$NODES"
  trainer.total_epochs=30
  trainer.test_freq=15
  trainer.save_freq=45
)

# AEnt's published run of a 1.5B model on MATH (Qwen2.5-Math-1.5B): coefficient, law, batch and learning rate are its.
# The band is that model's. Bands of two models need not overlap: measure yours with COEF_RATE=0 first, then choose.
recipe=(
  'hydra.searchpath=[pkg://entrostat.integrations.verl.config]'
  +entrostat=control
  entrostat.recipe=aent
  # verl's driver sees the end of a batch of rollouts, not of each optimizer step; the published run moved there too.
  entrostat.window=rollout
  +entrostat.parameters.low="${BAND_LOW:-0.15}"
  +entrostat.parameters.high="${BAND_HIGH:-0.24}"
  +entrostat.parameters.clamp=0.33
  +entrostat.parameters.initial=0.002
  +entrostat.parameters.rate="${COEF_RATE:-0.002}"
  +entrostat.parameters.floor=0.0006
  +entrostat.parameters.ceiling=0.009
  +entrostat.parameters.warmup=30
)

"${PYTHON:-python}" -m verl.trainer.main_ppo "${host[@]}" "${recipe[@]}" "$@"

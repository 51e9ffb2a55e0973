#!/usr/bin/env bash
# One node of 8 GPUs: vLLM as a server on four of them, the training on the other four.
#
#   examples/gpu/vllm_server.sh examples/gpu/aent_math_1.5b.yaml
#   examples/gpu/vllm_server.sh examples/gpu/aent_openr1_1.5b.yaml --save_steps 100     what follows overrules the file
#
# Both jobs here count on 8 GPUs that train; with four of them twice the accumulation makes the same optimizer step.
# Never run by us: its command lines are checked against TRL's and accelerate's own parsers, not on a GPU.
set -euo pipefail

JOB=${1:?usage: vllm_server.sh JOB.yaml [--flag value ...]}
shift
HERE=$(dirname "$0")
SERVER_GPUS=${SERVER_GPUS:-0,1,2,3}
TRAIN_GPUS=${TRAIN_GPUS:-4,5,6,7}
ACCUMULATION=${ACCUMULATION:-32}
PORT=${PORT:-8000}

count() { tr ',' '\n' <<<"$1" | wc -l | tr -d ' '; }
setting() { sed -n "s/^$1: *\([^ #]*\).*/\1/p" "$JOB"; }

CUDA_VISIBLE_DEVICES=$SERVER_GPUS trl vllm-serve \
  --model "$(setting model_name_or_path)" \
  --max_model_len "$(setting vllm_max_model_length)" \
  --data_parallel_size "$(count "$SERVER_GPUS")" \
  --gpu_memory_utilization 0.9 \
  --port "$PORT" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT

# The training waits for the server, and ends in an error if none answers in time.
CUDA_VISIBLE_DEVICES=$TRAIN_GPUS accelerate launch \
  --config_file "$HERE/fsdp2_1x8.yaml" \
  --num_processes "$(count "$TRAIN_GPUS")" \
  -m entrostat.integrations.trl.grpo --config "$JOB" \
  --gradient_accumulation_steps "$ACCUMULATION" \
  --vllm_mode server \
  --vllm_server_base_url "http://127.0.0.1:$PORT" \
  --vllm_server_timeout 900 \
  --vllm_enable_sleep_mode false \
  "$@"

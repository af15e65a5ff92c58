{#- salt-run state.orchestrate dockerstorage.orch.prune pillar='{dockerstorage: {rolling: {...}}}'
    See docs/orchestration.md for the keys. #}
rolling-prune:
  dockerstorage_rolling.pruned:
    - settings: {{ salt['pillar.get']('dockerstorage:rolling', none) | json }}

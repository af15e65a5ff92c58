{#- salt-run state.orchestrate dockerstorage.orch.migrate pillar='{dockerstorage: {rolling: {...}}}'
    See docs/orchestration.md for the keys. #}
rolling-migrate:
  dockerstorage_rolling.migrated:
    - settings: {{ salt['pillar.get']('dockerstorage:rolling', none) | json }}

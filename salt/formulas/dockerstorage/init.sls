{#- Asked here first, a wrong pillar is told of once, and not by each sls. -#}
{%- from tpldir ~ "/map.jinja" import settings with context %}
include:
  - .dependencies
  - .thinpool
  - .driver
  - .protection
  - .beacon
  - .remediation
  - .prune
  - .export
  - .metrics
  - .reactor

{%- from tpldir ~ "/map.jinja" import settings, state with context %}
include:
  - .dependencies
  - .thinpool
{%- if settings.driver.enabled %}
{{ state('driver', 'dockerstorage.driver') }}
{%- if settings.thinpool.enabled %}
    - require:
      - dockerstorage: dockerstorage-thinpool
{%- endif %}
{%- endif %}

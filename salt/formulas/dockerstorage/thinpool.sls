{%- from tpldir ~ "/map.jinja" import settings, state with context %}
include:
  - .dependencies
{%- if settings.thinpool.enabled %}
{{ state('thinpool', 'dockerstorage.thinpool') }}
{%- endif %}

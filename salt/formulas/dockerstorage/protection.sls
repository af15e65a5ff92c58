{%- from tpldir ~ "/map.jinja" import settings with context %}
{%- set wanted = settings.protection %}
include:
  - .dependencies
  - .driver
{%- if wanted.enabled %}
dockerstorage-protection:
  dockerstorage.protected:
    - names: {{ ([wanted.images] if wanted.images is string else wanted.images) | json }}
{%- if wanted.label is defined %}
    - label: {{ wanted.label | json }}
{%- endif %}
{%- endif %}

{%- from tpldir ~ "/map.jinja" import settings, arguments, job with context %}
include:
  - .dependencies
{%- if settings.export.enabled %}
# Not made: where a backup's disk is not mounted, a bundle would fill the host's own.
dockerstorage-export-directory:
  file.exists:
    - name: {{ salt['file.dirname'](settings.export.dest) | json }}
{%- endif %}
{{ job('export', 'dockerstorage.export', arguments('export', {'replace': true})) }}

{%- from tpldir ~ "/map.jinja" import arguments, job with context %}
include:
  - .dependencies
{{ job('metrics', 'dockerstorage.metrics', arguments('metrics'), true, false) }}

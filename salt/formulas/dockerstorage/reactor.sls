{%- from tpldir ~ "/map.jinja" import settings with context %}
{%- set wanted = settings.reactor %}
{%- if wanted.enabled %}
{%- set tag = 'salt/beacon/*/dockerstorage/*' %}
{%- set reaction = 'salt://' ~ tpldir ~ '/reactor/remediate.sls' %}
{%- set elsewhere = salt['dockerstorage_formula.reactors_elsewhere'](wanted.file) %}
{%- if not elsewhere %}
dockerstorage-reactor:
  file.managed:
    - name: {{ wanted.file | json }}
    - contents: |
        # Managed by Salt: the formula dockerstorage. See docs/watching.md of that project.
        reactor:
          - '{{ tag }}':
            - {{ reaction }}

dockerstorage-reactor-restart:
  test.show_notification:
    - text: The salt-master reads its reactor when it starts. Restart it.
    - onchanges:
      - file: dockerstorage-reactor
{%- elif tag not in elsewhere.values() | sum(start=[]) %}
# A master takes the list of one file only: a second one would silence the first.
dockerstorage-reactor:
  test.fail_without_changes:
    - name: >-
        This master's reactor is set in {{ elsewhere | join(', ') }} already, and a master does not
        add up lists of several files. Add there: '{{ tag }}' with {{ reaction }}; then restart it.
{%- endif %}
{%- endif %}

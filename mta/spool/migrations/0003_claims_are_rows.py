"""Claims become rows; constraints that cost a query for every row of the hot path go."""

import django.db.models.deletion
from django.db import migrations, models

import mta.storage.fields

# A recipient is written three times in its life: the waiting and claimed versions are dead within
# minutes, and every claim walks past what vacuum has not removed. The defaults (a fifth of the
# table, 2 ms pauses) clean a table of a million rows after 200,000 dead ones.
TUNING = {
    'spool_recipient': 'autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 1, autovacuum_analyze_scale_factor = 0.05',
    # Small tables whose rows change all the time: room in the page for the next version.
    'spool_lane': 'fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 1',
    'spool_claim': 'fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 1',
}


def tune(apps, schema_editor):
    if schema_editor.connection.vendor == 'postgresql':
        for table, settings in TUNING.items():
            schema_editor.execute(f'ALTER TABLE {table} SET ({settings})')
        # Django makes a second index of text keys for LIKE 'prefix%'; nobody asks so for digests.
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(
                "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND "
                "(indexname LIKE 'spool_body_digest_%_like' OR indexname LIKE 'spool_message_body_id_%_like')"
            )
            found = [row[0] for row in cursor.fetchall()]
        for name in found:
            schema_editor.execute(f'DROP INDEX {name}')


def untune(apps, schema_editor):
    if schema_editor.connection.vendor == 'postgresql':
        for table, settings in TUNING.items():
            names = ', '.join(one.split(' = ')[0] for one in settings.split(', '))
            schema_editor.execute(f'ALTER TABLE {table} RESET ({names})')


class Migration(migrations.Migration):

    dependencies = [
        ('egress', '0003_warmup_templates'),
        ('spool', '0002_initial'),
        ('tenants', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Claim',
            fields=[
                ('token', mta.storage.fields.RowIdField(primary_key=True, serialize=False)),
                ('ends_at', mta.storage.fields.InstantField(db_index=True)),
                ('lane', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, to='spool.lane')),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='recipient',
            name='recipient_claim_whole',
        ),
        migrations.RemoveIndex(
            model_name='recipient',
            name='recipient_claim_end',
        ),
        # Claims of workers that run while this happens go on under their tokens.
        migrations.RunSQL(
            "INSERT INTO spool_claim (token, lane_id, ends_at) SELECT claim_token, min(lane_id), "
            "max(claimed_until) FROM spool_recipient WHERE state = 'claimed' GROUP BY claim_token",
            "UPDATE spool_recipient SET claimed_until = (SELECT ends_at FROM spool_claim "
            "WHERE token = claim_token) WHERE state = 'claimed'",
        ),
        migrations.RemoveField(
            model_name='recipient',
            name='claimed_until',
        ),
        migrations.AddField(
            model_name='lane',
            name='earliest_at',
            field=mta.storage.fields.InstantField(default=0),
        ),
        migrations.AlterField(
            model_name='attempt',
            name='recipient',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='history', to='spool.recipient'),
        ),
        migrations.AlterField(
            model_name='message',
            name='body',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='spool.body'),
        ),
        migrations.AlterField(
            model_name='message',
            name='stream',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, to='tenants.stream'),
        ),
        migrations.AlterField(
            model_name='message',
            name='tenant',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='tenants.tenant'),
        ),
        migrations.AlterField(
            model_name='message',
            name='id',
            field=mta.storage.fields.RowIdField(primary_key=True, serialize=False),
        ),
        migrations.AlterField(
            model_name='recipient',
            name='id',
            field=mta.storage.fields.RowIdField(primary_key=True, serialize=False),
        ),
        migrations.AlterField(
            model_name='recipient',
            name='lane',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='recipients', to='spool.lane'),
        ),
        migrations.AlterField(
            model_name='recipient',
            name='message',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='recipients', to='spool.message'),
        ),
        migrations.AddConstraint(
            model_name='recipient',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('claim_token__isnull', False), ('state', 'claimed')), models.Q(models.Q(('state', 'claimed'), _negated=True), ('claim_token__isnull', True)), _connector='OR'), name='recipient_claim_whole'),
        ),
        migrations.RunPython(tune, untune),
    ]

"""The warmup schedules that come with Mailmill, ready to be given to a source."""

from django.db import migrations

from mta.policy.warmup import load_templates


def make(apps, schema_editor):
    schedule = apps.get_model("egress", "WarmupSchedule")
    stage = apps.get_model("egress", "WarmupStage")
    for name, days in load_templates().items():
        made, fresh = schedule.objects.get_or_create(
            name=name, defaults={"description": "Comes with Mailmill; a copy can be changed."}
        )
        if fresh:
            stage.objects.bulk_create(
                stage(schedule=made, day=day, per_day=count) for day, count in enumerate(days, 1)
            )


class Migration(migrations.Migration):
    dependencies = [("egress", "0002_initial")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]

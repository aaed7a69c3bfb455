"""Which address of /api/ leads where; the URLconf of mta.api.handler."""

from django.urls import path
from django.views.generic import RedirectView

from mta.api import problems
from mta.api.views import (
    campaign_control,
    campaigns,
    control,
    domains,
    egress,
    messages,
    pages,
    reading,
    suppressions,
    webhooks,
)

urlpatterns = [
    path("api/docs", pages.docs),
    path("api/", RedirectView.as_view(url="/api/docs")),
    path("api/docs/", RedirectView.as_view(url="/api/docs")),
    path("api/v1/schema", pages.Schema.as_view()),
    path("api/v1/messages", messages.Messages.as_view()),
    path("api/v1/messages/<str:message_id>", messages.MessageDetail.as_view()),
    path("api/v1/messages/<str:message_id>/recipients", reading.RecipientsOfMessage.as_view()),
    path("api/v1/recipients/<str:recipient_id>", reading.RecipientDetail.as_view()),
    path("api/v1/events", reading.Events.as_view()),
    path("api/v1/suppressions", suppressions.Suppressions.as_view()),
    path("api/v1/suppressions/<str:suppression_id>", suppressions.SuppressionDetail.as_view()),
    path("api/v1/domains", domains.Domains.as_view()),
    path("api/v1/domains/<str:domain>", domains.DomainDetail.as_view()),
    path("api/v1/webhooks", webhooks.Webhooks.as_view()),
    path("api/v1/webhooks/<str:webhook_id>", webhooks.WebhookDetail.as_view()),
    path("api/v1/pools", egress.Pools.as_view()),
    path("api/v1/queues", egress.Queues.as_view()),
    path("api/v1/campaigns/<path:campaign>/cancel", campaign_control.CancelCampaign.as_view()),
    path("api/v1/campaigns/<path:campaign>/suspend", campaign_control.SuspendCampaign.as_view()),
    path("api/v1/campaigns/<path:campaign>/resume", campaign_control.ResumeCampaign.as_view()),
    path("api/v1/move", control.Move.as_view()),
    path("api/v1/suspensions", control.Suspensions.as_view()),
    path("api/v1/suspensions/<str:suspension_id>", control.SuspensionDetail.as_view()),
    path("api/v1/sources/<str:source>/drain", control.Drain.as_view()),
    path("api/v1/sources/<str:source>/undrain", control.Undrain.as_view()),
    path("api/v1/campaigns/<path:campaign>/forecast", campaigns.CampaignForecast.as_view()),
]

handler400 = problems.handle_400
handler403 = problems.handle_403
handler404 = problems.handle_404
handler500 = problems.handle_500

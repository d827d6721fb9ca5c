from django.urls import path

from . import views

urlpatterns = [
    path("exports/<int:pk>/", views.export, name="export"),
    path("events/", views.receive, name="events"),
]

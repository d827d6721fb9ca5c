from django.contrib import admin

from .models import Export, Run


@admin.register(Export)
class ExportAdmin(admin.ModelAdmin):
    list_display = ["job", "run_key", "asked_at", "published_at"]

    def has_add_permission(self, request):
        return False


@admin.register(Run)
class RunAdmin(admin.ModelAdmin):
    list_display = ["run", "job", "run_key", "event", "rows", "at"]
    list_filter = ["event", "job"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

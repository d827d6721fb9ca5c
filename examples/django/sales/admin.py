from django.contrib import admin, messages
from django.utils.html import format_html

from . import closing
from .models import BusinessDay, Order


@admin.register(BusinessDay)
class BusinessDayAdmin(admin.ModelAdmin):
    list_display = ["date", "closed_at"]
    actions = ["close"]

    @admin.action(description="Close the selected days, and export the orders", permissions=["change"])
    def close(self, request, days):
        for day in days:
            export = closing.close(day)
            link = format_html('<a href="{}">{}</a> is asked for', export.get_absolute_url(), export)
            self.message_user(request, link, messages.SUCCESS)


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["pk", "day", "total"]

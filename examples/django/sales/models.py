"""What the shop sells. Sluice moves the table of orders, when a day is closed."""

from django.db import models


class BusinessDay(models.Model):
    date = models.DateField(unique=True)
    closed_at = models.DateTimeField(null=True, editable=False)

    def __str__(self):
        return f"{self.date}"


class Order(models.Model):
    day = models.ForeignKey(BusinessDay, on_delete=models.PROTECT)
    total = models.DecimalField(max_digits=12, decimal_places=2)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return f"order {self.pk}"

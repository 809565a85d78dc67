"""The admin as teams set it up: lists, filters, search, forms with their lines."""
from django.contrib import admin

from .models import Customer, Line, Order, Product, Tag


class LineInline(admin.TabularInline):
    model = Line
    extra = 1


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["number", "company", "contact", "phone", "city", "active"]
    list_filter = ["active", "city"]
    search_fields = ["number", "company"]
    date_hierarchy = "created"


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["id", "customer", "status", "placed"]
    list_filter = ["status"]
    list_select_related = ["customer"]
    raw_id_fields = ["customer"]
    inlines = [LineInline]


admin.site.register(Product)
admin.site.register(Tag)

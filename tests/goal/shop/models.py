"""Customers and what they order."""
from django.db import models


class Customer(models.Model):
    number = models.CharField(max_length=20, unique=True)
    company = models.CharField(max_length=100)
    contact = models.CharField(max_length=100)
    phone = models.CharField(max_length=60, blank=True)
    street = models.CharField(max_length=100, blank=True)
    city = models.CharField(max_length=60, db_index=True)
    born_on = models.DateField(null=True, blank=True)
    tax_id = models.CharField(max_length=40, null=True, blank=True)
    notes = models.TextField(blank=True)
    active = models.BooleanField(default=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["company"]

    def __str__(self):
        return self.company


class Product(models.Model):
    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.IntegerField(default=0)
    tags = models.ManyToManyField("Tag")


class Tag(models.Model):
    label = models.SlugField(unique=True)


class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders")
    placed = models.DateTimeField(auto_now_add=True)
    status = models.CharField(max_length=10, default="new", db_index=True)
    card = models.CharField(max_length=40, blank=True)
    comment = models.TextField(blank=True)
    products = models.ManyToManyField(Product, through="Line")


class Line(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField(default=1)
    price = models.DecimalField(max_digits=8, decimal_places=2)

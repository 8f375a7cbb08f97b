CREATE TYPE "public"."image_disk_bus" AS ENUM('virtio', 'sata', 'scsi');--> statement-breakpoint
CREATE TYPE "public"."image_firmware" AS ENUM('bios', 'uefi');--> statement-breakpoint
CREATE TYPE "public"."image_secure_boot" AS ENUM('off', 'microsoft', 'uefi-ca');--> statement-breakpoint
ALTER TABLE "images" ADD COLUMN "firmware" "image_firmware";--> statement-breakpoint
ALTER TABLE "images" ADD COLUMN "secure_boot" "image_secure_boot";--> statement-breakpoint
ALTER TABLE "images" ADD COLUMN "disk_bus" "image_disk_bus";--> statement-breakpoint
ALTER TABLE "images" ADD CONSTRAINT "images_secure_boot_is_of_uefi" CHECK ("images"."secure_boot" is null or "images"."firmware" is not distinct from 'uefi');
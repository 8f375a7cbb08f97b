# VMs: inventory, life, CPU, memory, firmware.

function Get-VM {
    [CmdletBinding(DefaultParameterSetName = 'Name')]
    param(
        [Parameter(ParameterSetName = 'Name', Position = 0)][Alias('VMName')][string[]]$Name,
        [Parameter(ParameterSetName = 'Id', Position = 0)][guid]$Id
    )
    Invoke-Cmdlet 'Get-VM' {
        if ($PSCmdlet.ParameterSetName -eq 'Id') {
            $vm = Read-StandinVm (Get-StandinFile $Id)
            if ($null -eq $vm) { Stop-Cmdlet 'Get-VM' 'ObjectNotFound' "Hyper-V was unable to find a virtual machine with id `"$Id`"." }
            return $vm
        }
        $all = @(Read-StandinVms)
        if ($null -eq $Name) { return $all }
        foreach ($one in $Name) {
            # As the real one: wildcards, and an error only for a plain name that is not there.
            $found = @($all | Where-Object { $_.Name -like $one })
            if ($found.Count -eq 0 -and -not [System.Management.Automation.WildcardPattern]::ContainsWildcardCharacters($one)) {
                Stop-Cmdlet 'Get-VM' 'InvalidParameter' "Hyper-V was unable to find a virtual machine with name `"$one`"."
            }
            $found
        }
    }
}

function New-VM {
    [CmdletBinding(DefaultParameterSetName = 'No VHD', SupportsShouldProcess)]
    param(
        [Parameter(Position = 0)][Alias('VMName')][string]$Name,
        [Parameter(Position = 1)][long]$MemoryStartupBytes,
        [Parameter(Position = 2)][ValidateSet(1, 2)][int16]$Generation = 1,
        [string]$Path,
        [string]$SwitchName,
        [Parameter(ParameterSetName = 'No VHD')][switch]$NoVHD,
        [Parameter(ParameterSetName = 'Existing VHD', Mandatory)][string]$VHDPath
    )
    Invoke-Cmdlet 'New-VM' {
        Assert-Memory 'New-VM' $MemoryStartupBytes
        $vm = [VirtualMachine]::new()
        $vm.Id = [guid]::NewGuid()
        $vm.Name = $Name
        $vm.State = 'Off'
        $vm.Notes = ''
        $vm.Generation = $Generation
        $vm.Path = [System.IO.Path]::Combine($Path, $Name)
        $vm.ProcessorCount = 1
        $vm.MemoryStartup = $MemoryStartupBytes
        $vm.MemoryMinimum = 512MB
        $vm.MemoryMaximum = 1TB
        $vm.AutomaticStartAction = 'StartIfRunning'
        $vm.AutomaticStopAction = 'Save'
        $vm.CheckpointType = 'Production'
        $vm.HardDrives = @()
        $vm.DVDDrives = @()
        $vm.StandinSnapshots = @()
        $vm.NetworkAdapters = @(New-StandinAdapter $vm.Id 'Network Adapter' $SwitchName $null)
        if ($VHDPath) { $vm.HardDrives = @(New-StandinDrive 'New-VM' $vm.Id 0 0 $VHDPath) }
        $null = [System.IO.Directory]::CreateDirectory([System.IO.Path]::Combine($vm.Path, 'Virtual Machines'))
        [System.IO.File]::WriteAllText([System.IO.Path]::Combine($vm.Path, 'Virtual Machines', "$($vm.Id).vmcx"), '')
        $vm.StandinAppears = Get-LateInstant 'New-VM'
        Save-StandinVm $vm
        Stop-LateProcess $vm.StandinAppears
        $vm
    }
}

function Set-VM {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Name')]
    param(
        [Parameter(ParameterSetName = 'Name', Mandatory, Position = 0)][Alias('VMName')][string[]]$Name,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM,
        [StartAction]$AutomaticStartAction,
        [StopAction]$AutomaticStopAction,
        [CheckpointType]$CheckpointType, # 2016+
        [bool]$AutomaticCheckpointsEnabled, # 2019+
        [string]$Notes,
        [string]$NewVMName,
        [switch]$Passthru
    )
    $bound = $PSBoundParameters
    Invoke-Cmdlet 'Set-VM' {
        foreach ($one in Select-StandinVm 'Set-VM' $VM $Name) {
            Update-StandinVm 'Set-VM' $one.Id {
                foreach ($property in 'AutomaticStartAction', 'AutomaticStopAction', 'CheckpointType', 'AutomaticCheckpointsEnabled', 'Notes') {
                    if ($bound.ContainsKey($property)) { $_.$property = $bound[$property] }
                }
                if ($NewVMName) { $_.Name = $NewVMName }
            }
        }
    }
}

# The VMs of a cmdlet that takes objects or names; a name may be a pattern.
function Select-StandinVm([string]$Cmdlet, $VM, $Name) {
    if ($null -ne $VM) { return $VM }
    foreach ($one in $Name) { Get-VM -Name $one }
}

function Remove-VM {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Name')]
    param(
        [Parameter(ParameterSetName = 'Name', Mandatory, Position = 0)][Alias('VMName')][string[]]$Name,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM,
        [switch]$Force
    )
    Invoke-Cmdlet 'Remove-VM' {
        foreach ($one in Select-StandinVm 'Remove-VM' $VM $Name) {
            $now = Read-StandinVm (Get-StandinFile $one.Id)
            if ($null -eq $now) { Stop-Cmdlet 'Remove-VM' 'ObjectNotFound' 'The virtual machine is not there.' }
            if ($now.SecondaryOperationalStatus -eq 'MergingDisks') { Stop-Cmdlet 'Remove-VM' 'OperationFailed' 'The operation cannot be performed while the disks are merged.' }
            Assert-State 'Remove-VM' $now 'Off', 'OffCritical', 'Saved', 'SavedCritical'
            [System.IO.File]::Delete((Get-StandinFile $one.Id))
            [System.IO.File]::Delete([System.IO.Path]::Combine($now.Path, 'Virtual Machines', "$($now.Id).vmcx"))
        }
    }
}

function Start-VM {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Name')]
    param(
        [Parameter(ParameterSetName = 'Name', Mandatory, Position = 0)][Alias('VMName')][string[]]$Name,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM
    )
    Invoke-Cmdlet 'Start-VM' {
        foreach ($one in Select-StandinVm 'Start-VM' $VM $Name) {
            Update-StandinVm 'Start-VM' $one.Id {
                if ($_.State -eq 'Running') { return }
                Assert-State 'Start-VM' $_ 'Off', 'Saved', 'FastSaved', 'Paused'
                foreach ($drive in $_.HardDrives) {
                    $null = Read-StandinVhd 'Start-VM' $drive.Path
                    if ($_.Generation -eq 1 -and [string]$drive.ControllerType -ne 'IDE') { Stop-Cmdlet 'Start-VM' 'OperationFailed' 'A BIOS boots from IDE alone.' }
                }
                if ($_.State -in 'Saved', 'FastSaved' -and -not [string]::IsNullOrEmpty($_.StandinSpoilt)) { Stop-Cmdlet 'Start-VM' $_.StandinSpoilt 'The saved state cannot be restored.' }
                if ($_.State -ne 'Paused') { Assert-StandinMedia 'Start-VM' $_ }
                if ($_.ProcessorCount -gt $script:Standin.LogicalProcessors) { Stop-Cmdlet 'Start-VM' 'OperationFailed' 'The virtual machine has more virtual processors than the computer has logical ones.' }
                $id = $_.Id
                $others = @(Read-StandinVms | Where-Object { $_.StandinProcess -ne 0 -and $_.Id -ne $id })
                if ($others.Count -ge $script:RunningMaximum) { Stop-Cmdlet 'Start-VM' 'OperationFailed' 'The computer runs all virtual machines that it can run.' }
                $given = $_.MemoryStartup
                foreach ($other in $others) { $given += $other.MemoryAssigned }
                if ($given -gt $script:Standin.MemoryBytes) { Stop-Cmdlet 'Start-VM' 'OutOfMemory' 'Not enough memory in the system to start the virtual machine.' }
                if ($_.State -ne 'Paused') { Set-PoweredOn $_ }
                $_.State = 'Running'
            }
        }
    }
}

function Set-PoweredOn($Vm) {
    $now = [datetime]::UtcNow.Ticks
    $Vm.MemoryAssigned = $Vm.MemoryStartup
    $Vm.StandinProcess = 1000 + [Math]::Abs($Vm.Id.GetHashCode() % 60000)
    $Vm.StandinProcessStart = $now
    $Vm.StandinBoot = $now
    $Vm.StandinGuestName = Read-SeedName $Vm
}

# The guest reads its seed, as cloud-init and Windows Setup do. Both store it as text.
function Read-SeedName($Vm) {
    foreach ($drive in $Vm.DVDDrives) {
        if (-not $drive.Path -or -not [System.IO.File]::Exists($drive.Path)) { continue }
        $text = [System.Text.Encoding]::Latin1.GetString([System.IO.File]::ReadAllBytes($drive.Path))
        if ($text -match 'local-hostname: "([^"]+)"' -or $text -match '<ComputerName>([^<]+)<') { return $Matches[1] }
    }
    ''
}

function Stop-VM {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Name')]
    param(
        [Parameter(ParameterSetName = 'Name', Mandatory, Position = 0)][Alias('VMName')][string[]]$Name,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM,
        [switch]$Force,
        [switch]$Save,
        [switch]$TurnOff
    )
    Invoke-Cmdlet 'Stop-VM' {
        foreach ($one in Select-StandinVm 'Stop-VM' $VM $Name) {
            Update-StandinVm 'Stop-VM' $one.Id {
                if ($_.State -eq 'Off') { return }
                if ('OffCritical', 'Saved', 'FastSaved', 'SavedCritical', 'FastSavedCritical' -contains [string]$_.State) { Stop-Cmdlet 'Stop-VM' 'InvalidState' "The virtual machine has no process to stop ($($_.State))." }
                if ($Save) { Set-PoweredOff $_; $_.State = 'Saved'; return }
                # Without its services a guest cannot be asked; the real cmdlet then prompts, which fails here as there.
                if (-not $TurnOff -and -not (Test-GuestReady $_)) { Stop-Cmdlet 'Stop-VM' 'InvalidOperation' 'Read and Prompt functionality is not available.' }
                $critical = ([string]$_.State).EndsWith('Critical')
                Set-PoweredOff $_
                # Storage that is lost or full is so still.
                if ($critical) { $_.State = 'OffCritical' }
            }
        }
    }
}

function Restart-VM {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Name')]
    param(
        [Parameter(ParameterSetName = 'Name', Mandatory, Position = 0)][Alias('VMName')][string[]]$Name,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM,
        [switch]$Force
    )
    Invoke-Cmdlet 'Restart-VM' {
        foreach ($one in Select-StandinVm 'Restart-VM' $VM $Name) {
            Update-StandinVm 'Restart-VM' $one.Id {
                Assert-State 'Restart-VM' $_ 'Running'
                $_.StandinBoot = [datetime]::UtcNow.Ticks
                $_.StandinShutdown = 0
            }
        }
    }
}

function Resume-VM {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Name')]
    param(
        [Parameter(ParameterSetName = 'Name', Mandatory, Position = 0)][Alias('VMName')][string[]]$Name,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM
    )
    Invoke-Cmdlet 'Resume-VM' {
        foreach ($one in Select-StandinVm 'Resume-VM' $VM $Name) {
            Update-StandinVm 'Resume-VM' $one.Id {
                Assert-State 'Resume-VM' $_ 'Paused'
                $_.State = 'Running'
            }
        }
    }
}

function Suspend-VM {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Name')]
    param(
        [Parameter(ParameterSetName = 'Name', Mandatory, Position = 0)][Alias('VMName')][string[]]$Name,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM
    )
    Invoke-Cmdlet 'Suspend-VM' {
        foreach ($one in Select-StandinVm 'Suspend-VM' $VM $Name) {
            Update-StandinVm 'Suspend-VM' $one.Id {
                Assert-State 'Suspend-VM' $_ 'Running'
                $_.State = 'Paused'
            }
        }
    }
}

function Remove-VMSavedState {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM
    )
    Invoke-Cmdlet 'Remove-VMSavedState' {
        foreach ($one in Select-StandinVm 'Remove-VMSavedState' $VM $VMName) {
            Update-StandinVm 'Remove-VMSavedState' $one.Id {
                Assert-State 'Remove-VMSavedState' $_ 'Saved', 'FastSaved', 'SavedCritical', 'FastSavedCritical'
                $_.State = if (([string]$_.State).EndsWith('Critical')) { 'OffCritical' } else { 'Off' }
            }
        }
    }
}

function Set-VMProcessor {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM,
        [long]$Count
    )
    Invoke-Cmdlet 'Set-VMProcessor' {
        foreach ($one in Select-StandinVm 'Set-VMProcessor' $VM $VMName) {
            Update-StandinVm 'Set-VMProcessor' $one.Id {
                Assert-State 'Set-VMProcessor' $_ 'Off'
                $most = [Math]::Min($script:Limits[$script:Windows].Cpus, $script:Standin.LogicalProcessors)
                if ($Count -lt 1 -or $Count -gt $most) { Stop-Cmdlet 'Set-VMProcessor' 'InvalidParameter' "The number of processors must be between 1 and $most." }
                $_.ProcessorCount = $Count
            }
        }
    }
}

function Assert-Memory([string]$Cmdlet, [long]$Bytes) {
    if ($Bytes % 2MB -ne 0 -or $Bytes -lt 32MB -or $Bytes -gt $script:Limits[$script:Windows].MemoryTb * 1TB) { Stop-Cmdlet $Cmdlet 'InvalidParameter' 'Invalid memory settings.' }
}

function Set-VMMemory {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM,
        [bool]$DynamicMemoryEnabled,
        [long]$MaximumBytes,
        [long]$MinimumBytes,
        [long]$StartupBytes
    )
    $bound = $PSBoundParameters
    Invoke-Cmdlet 'Set-VMMemory' {
        foreach ($one in Select-StandinVm 'Set-VMMemory' $VM $VMName) {
            Update-StandinVm 'Set-VMMemory' $one.Id {
                $live = $_.State -ne 'Off'
                if ($live -and ($script:Windows -eq '2012r2' -or $_.DynamicMemoryEnabled)) { Stop-Cmdlet 'Set-VMMemory' 'InvalidState' 'The memory cannot be changed while the virtual machine is running.' }
                if ($live -and $bound.ContainsKey('DynamicMemoryEnabled') -and $DynamicMemoryEnabled) { Stop-Cmdlet 'Set-VMMemory' 'InvalidState' 'Dynamic memory cannot be enabled now.' }
                if ($bound.ContainsKey('DynamicMemoryEnabled')) { $_.DynamicMemoryEnabled = $DynamicMemoryEnabled }
                if ($bound.ContainsKey('StartupBytes')) { $_.MemoryStartup = $StartupBytes }
                if ($bound.ContainsKey('MinimumBytes')) { $_.MemoryMinimum = $MinimumBytes }
                if ($bound.ContainsKey('MaximumBytes')) { $_.MemoryMaximum = $MaximumBytes }
                Assert-Memory 'Set-VMMemory' $_.MemoryStartup
                if ($_.DynamicMemoryEnabled -and ($_.MemoryMinimum -gt $_.MemoryStartup -or $_.MemoryStartup -gt $_.MemoryMaximum -or $_.MemoryMinimum % 2MB -ne 0)) { Stop-Cmdlet 'Set-VMMemory' 'InvalidParameter' 'Invalid memory settings.' }
                if ($live) { $_.MemoryAssigned = $_.MemoryStartup }
            }
        }
    }
}

function Set-VMFirmware {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM,
        [VMComponentObject]$FirstBootDevice,
        [string]$SecureBootTemplate, # 2016+
        [OnOffState]$EnableSecureBoot
    )
    $bound = $PSBoundParameters
    Invoke-Cmdlet 'Set-VMFirmware' {
        foreach ($one in Select-StandinVm 'Set-VMFirmware' $VM $VMName) {
            Update-StandinVm 'Set-VMFirmware' $one.Id {
                if ($_.Generation -ne 2) { Stop-Cmdlet 'Set-VMFirmware' 'InvalidOperation' 'Only a generation 2 virtual machine has firmware settings.' }
                if ($bound.ContainsKey('EnableSecureBoot')) { Assert-State 'Set-VMFirmware' $_ 'Off'; $_.StandinSecureBoot = $EnableSecureBoot }
                if ($bound.ContainsKey('SecureBootTemplate')) {
                    if ('MicrosoftWindows', 'MicrosoftUEFICertificateAuthority', 'OpenSourceShieldedVM' -notcontains $bound['SecureBootTemplate']) { Stop-Cmdlet 'Set-VMFirmware' 'ObjectNotFound' 'There is no such secure boot template.' }
                    $_.StandinSecureBootTemplate = $bound['SecureBootTemplate']
                }
                if ($null -ne $FirstBootDevice) { $_.StandinFirstBoot = $FirstBootDevice.Path }
            }
        }
    }
}
